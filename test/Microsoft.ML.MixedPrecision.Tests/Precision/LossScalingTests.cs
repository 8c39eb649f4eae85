namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// The loss scale, the check for gradients that are not finite, clipping and accumulation, on every device. In single
/// precision there is no scale: it is 1 and stays, and an overflow is one at the floor.
/// </summary>
[TestClass]
public sealed class LossScalingTests
{
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void An_overflow_halves_the_scale_and_skips_the_step(BackendRow row)
    {
        float[] start = [.. Enumerable.Range(0, 40).Select(i => i / 7f)], gradient = [.. Enumerable.Range(0, 40).Select(i => i / 32f)];
        using var training = new PlantedSession(row, start, new Adam(), o => o with { LossScale = LossScale.Dynamic(1024f) });
        training.Step(gradient);
        var (masters, weights, state) = (training.Masters, training.Weights, training.State);
        float scale = Mixed(row) ? 1024f : 1f;
        int skipped = 0;
        foreach (float bad in new[] { float.PositiveInfinity, float.NegativeInfinity, float.NaN })
        {
            foreach (int at in new[] { 0, 17, 39 })
            {
                float[] planted = [.. gradient];
                planted[at] = bad;
                var report = training.Step(planted);
                if (Mixed(row)) scale /= 2;
                Assert.AreEqual((scale, 1, ++skipped), (report.Scale, report.Applied, report.Skipped), $"{bad} at {at}");
                CollectionAssert.AreEqual(masters, training.Masters);
                CollectionAssert.AreEqual(weights, training.Weights);
                foreach (var (i, before) in state.Index()) CollectionAssert.AreEqual(before, training.State[i], $"state {i}");
            }
        }
        var next = training.Step(gradient);
        Assert.AreEqual((scale, 2, skipped), (next.Scale, next.Applied, next.Skipped));
        CollectionAssert.AreNotEqual(masters, training.Masters);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_gradient_beyond_the_largest_half_overflows_in_mixed_precision_alone(BackendRow row)
    {
        using var training = new PlantedSession(row, [0f], new Sgd(1f), o => o with { LossScale = LossScale.Static(1f) });
        Assert.AreEqual(0, training.Step(65504f).Skipped);
        Assert.AreEqual(-65504f, training.Masters[0]);
        Assert.AreEqual(Mixed(row) ? 1 : 0, training.Step(65536f).Skipped);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_scale_grows_after_the_interval_and_an_overflow_starts_it_again(BackendRow row)
    {
        using var training = new PlantedSession(row, [0f], new Sgd(1f), o => o with { LossScale = LossScale.Dynamic(4f, growthFactor: 4f, backoffFactor: 0.5f, growthInterval: 3) });
        float[] scales = [4, 4, 16, 16, 16, 64]; // after each clean step
        foreach (float scale in scales) Assert.AreEqual(Mixed(row) ? scale : 1f, training.Step(1f).Scale);
        // The gradient of a step is divided by the scale it was computed with, also where that step made it grow.
        Assert.AreEqual(-6f, training.Masters[0]);

        scales = [64, 64];
        foreach (float scale in scales) Assert.AreEqual(Mixed(row) ? scale : 1f, training.Step(1f).Scale);
        Assert.AreEqual(Mixed(row) ? 32f : 1f, training.Overflow().Scale);
        scales = [32, 32, 128];
        foreach (float scale in scales) Assert.AreEqual(Mixed(row) ? scale : 1f, training.Step(1f).Scale);
        Assert.AreEqual(-11f, training.Masters[0]);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_scale_never_grows_to_infinity(BackendRow row)
    {
        float last = MathF.Pow(2, 127), initial = MathF.Pow(2, 125);
        using var training = new PlantedSession(row, [1f], new Sgd(1f), o => o with { LossScale = LossScale.Dynamic(initial, growthInterval: 1) });
        StepReport report = default;
        for (int i = 0; i < 5; i++) report = training.Step(0f);
        Assert.AreEqual((Mixed(row) ? last : 1f, 5, 0), (report.Scale, report.Applied, report.Skipped));
        Assert.AreEqual(1f, training.Masters[0]);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_scale_stops_at_its_floor_and_counts_overflows_there(BackendRow row)
    {
        using var training = new PlantedSession(row, [1f], new Sgd(1f), o => o with { LossScale = LossScale.Dynamic(12f, floor: 2f) });
        (float Scale, int AtFloor)[] expected = Mixed(row) ? [(6, 0), (3, 0), (2, 0), (2, 1), (2, 2)] : [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)];
        foreach (var (i, e) in expected.Index())
        {
            var report = training.Overflow();
            Assert.AreEqual((e.Scale, e.AtFloor, i + 1), (report.Scale, report.FloorOverflows, report.Skipped), $"overflow {i + 1}");
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_static_scale_stays(BackendRow row)
    {
        using var training = new PlantedSession(row, [0f], new Sgd(1f), o => o with { LossScale = LossScale.Static(64f) });
        float scale = Mixed(row) ? 64f : 1f;
        for (int i = 0; i < 3; i++) Assert.AreEqual(scale, training.Step(1f).Scale);
        var report = training.Overflow();
        Assert.AreEqual((scale, 3, 1, 1), (report.Scale, report.Applied, report.Skipped, report.FloorOverflows), "it cannot fall, so the training cannot go on");
        Assert.AreEqual(-3f, training.Masters[0]);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void No_scale_is_one(BackendRow row)
    {
        using var training = new PlantedSession(row, [0f], new Sgd(1f), o => o with { LossScale = LossScale.None });
        Assert.AreEqual(1f, training.Step(0.25f).Scale);
        Assert.AreEqual(-0.25f, training.Masters[0]);
        Assert.AreEqual((1f, 1), (training.Overflow().Scale, training.Step(0f).FloorOverflows));
    }

    /// <summary>The scale is in the loss's gradient, and out of the update: it changes no hyper-parameter.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_scale_changes_the_gradients_and_not_the_update(BackendRow row)
    {
        var (plain, plainGradients) = Run(1f);
        var (scaled, scaledGradients) = Run(128f);
        // A power of two in front of everything that is rounded, and nothing near the subnormal: the same bits.
        CollectionAssert.AreEqual(plain, scaled);
        CollectionAssert.AreEqual(plainGradients.Select(g => Mixed(row) ? 128f * g : g).ToArray(), scaledGradients);

        (float[] Masters, float[] Gradients) Run(float scale)
        {
            var options = new PlanOptions(8, row.Precision, new MeanSquaredError(), new Sgd(0.5f)) { LossScale = LossScale.Static(scale), Seed = 5 };
            using var session = new TrainingSession(PlanBuilder.Build(Network.Vector(4).Linear(3), options), row.Create());
            session.TrainPass(Rows(0, 8));
            session.Update();
            return (session.Read(session.Plan.Parameters.Masters), session.Read(session.Plan.Parameters.Gradients));
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Gradients_are_clipped_after_they_are_unscaled(BackendRow row)
    {
        // The norm of (3, -4) is 5 whatever the scale. As clip_grad_norm_: times min(1, clip / (norm + 1e-6)).
        foreach (var (clip, factor) in new[] { (1f, 1 / 5.000001), (2.5f, 2.5 / 5.000001), (5.5f, 1.0), (float.PositiveInfinity, 1.0) })
        {
            using var training = new PlantedSession(row, [0f, 0f], new Sgd(1f), o => o with { ClipNorm = clip, LossScale = LossScale.Static(512f) });
            var report = training.Step(3f, -4f);
            Assert.AreEqual(5f, report.GradientNorm);
            Tolerance.AssertClose([-3 * factor, 4 * factor], training.Masters, Precision.Single, 0, 6, $"clipped to {clip}");
            if (factor == 1.0) CollectionAssert.AreEqual(new[] { -3f, 4f }, training.Masters, "nothing to clip, nothing rounded");
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_norm_is_that_of_all_parameters(BackendRow row)
    {
        // 20,000 weights of a gradient of 1/8 in two parts of the scan: sqrt(20000 / 64) = 17.68.
        const int count = 20_000;
        using var training = new PlantedSession(row, new float[count], new Sgd(1f), o => o with { ClipNorm = 1f, LossScale = LossScale.Static(16f) });
        float[] gradient = new float[count];
        Array.Fill(gradient, 0.125f);
        double norm = Math.Sqrt(count / 64.0);
        // Sums of equal powers of two up to 2^24 are exact; what is left is the root and the multiplier.
        Tolerance.AssertClose([norm], [training.Step(gradient).GradientNorm], Precision.Single, 0, 4, "norm");
        double[] expected = [.. gradient.Select(g => -g / (norm + 1e-6))];
        Tolerance.AssertClose(expected, training.Masters, Precision.Single, 0, 6, "weights");
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_sum_of_squares_beyond_single_is_no_overflow(BackendRow row)
    {
        // Finite gradients are applied, though in FP32 the sum of their squares is infinite.
        float largest = Mixed(row) ? 65504f : float.MaxValue, rate = MathF.Pow(2, -100);
        using var training = new PlantedSession(row, [0f, 0f, 0f], new Sgd(rate), o => o with { LossScale = LossScale.Static(1f) });
        var report = training.Step(largest, -largest, 0f);
        Assert.AreEqual((1, 0, (string?)null), (report.Applied, report.Skipped, report.FirstBad));
        CollectionAssert.AreEqual(new[] { -largest * rate, largest * rate, 0f }, training.Masters);

        // One that is not finite is still found among them.
        Assert.AreEqual(1, training.Step(largest, largest, float.NaN).Skipped);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_norm_beyond_single_is_clipped_to_nothing(BackendRow row)
    {
        // As clip_grad_norm_ in FP32: clip / infinity is 0, and 0 times a finite gradient is no NaN.
        using var training = new PlantedSession(row, [1f, 1f], new Sgd(1f), o => o with { ClipNorm = 1f, LossScale = LossScale.Static(1f) });
        float largest = Mixed(row) ? 65504f : float.MaxValue;
        var report = training.Step(largest, largest);
        Assert.AreEqual((1, 0), (report.Applied, report.Skipped));
        double left = Mixed(row) ? 1 - Math.Sqrt(0.5) : 1;
        Tolerance.AssertClose([left, left], training.Masters, Precision.Single, 0, 8, "weights");
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Accumulated_passes_are_one_larger_batch(BackendRow row)
    {
        const int rows = 8, passes = 4;
        float[] start, large = Updates(1, out start), small = Updates(passes, out var sameStart);
        CollectionAssert.AreEqual(start, sameStart);
        // The sum of a pass is rounded to half, or that of all of them; sums are of eight products each, in FP32.
        Tolerance.AssertClose([.. large.Select(u => (double)u)], small, row.Precision, 1 + passes, 2 * rows, "update");

        float[] Updates(int steps, out float[] before)
        {
            int batch = rows / steps;
            var options = new PlanOptions(batch, row.Precision, new MeanSquaredError(), new Sgd(1f)) { AccumulationSteps = steps, LossScale = LossScale.Static(128f), Seed = 5 };
            using var session = new TrainingSession(PlanBuilder.Build(Network.Vector(4).Linear(3), options), row.Create());
            float[] old = session.Read(session.Plan.Parameters.Masters);
            for (int update = 0; update < 2; update++)
            {
                // The second update shows whether the sum starts again. Its gradients are those of the first, from other weights.
                if (update > 0) session.Write(session.Plan.Parameters.Masters, old);
                if (update > 0) session.Write(session.Plan.Parameters.Weights, old);
                for (int i = 0; i < steps; i++) session.TrainPass(Rows(i * batch, batch));
                session.Update();
            }
            before = old;
            return [.. session.Read(session.Plan.Parameters.Masters).Zip(old, (now, then) => now - then)];
        }
    }

    /// <summary>The last group of a training: its update is the mean of the passes that it has, as that of a whole group is.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_group_that_is_short_is_divided_by_what_it_has(BackendRow row)
    {
        using var training = new PlantedSession(row, [1f], new Sgd(1f), o => o with { AccumulationSteps = 4, ClipNorm = 0.75f, LossScale = LossScale.Static(8f) });
        // What a pass plants is divided by four already: 4 x 1/8 for a whole group, and 2 x 1/8 x 4/2 for half of one.
        foreach (var (passes, weight) in new[] { (2, 0.5f), (4, 0f), (1, -0.5f), (4, -1f) })
        {
            for (int i = 0; i < passes; i++) training.Pass(0.125f);
            training.Session.Update();
            Assert.AreEqual(weight, training.Masters[0], $"after a group of {passes}");
            Assert.AreEqual(0.5f, training.Session.ReadReport().GradientNorm);
        }
        for (int i = 0; i < 2; i++) training.Pass(0.25f);
        training.Session.Update();
        Tolerance.AssertClose([-1.75], training.Masters, Precision.Single, 0, 6, "a mean of 1, clipped");
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_loss_of_a_skipped_pass_counts_where_it_is_a_number(BackendRow row)
    {
        var options = new PlanOptions(4, row.Precision, new MeanSquaredError(), new Sgd(0.01f)) { AccumulationSteps = 2, LossScale = LossScale.Dynamic(64f), Seed = 5, TotalUpdates = 8 };
        using var session = new TrainingSession(PlanBuilder.Build(Network.Vector(4).Linear(3), options), row.Create());
        Batch good = Rows(0, 4), bad = Rows(4, 4);
        bad.Features[5] = float.NaN;
        session.TrainPass(good);
        double loss = session.ReadReport().LossSum;
        Assert.IsTrue(loss > 0);

        // Skipped: the pass without a loss is left out, whether its update is known when the log is read or later.
        session.TrainPass(bad);
        Expect(0, 0, 1);
        session.Update();
        Expect(0, 0, 0);
        session.TrainPass(bad);
        session.TrainPass(good);
        session.Update();
        Expect(loss, 4, 2);
        Assert.AreEqual(2, session.ReadReport().Skipped);

        // One that is still to be decided does not get into what an evaluation says, and an evaluation says what there is.
        session.TrainPass(bad);
        session.EvaluatePass(good);
        Expect(loss, 4, 2);
        session.EvaluatePass(bad);
        Assert.IsTrue(double.IsNaN(session.ReadReport().LossSum));
        session.Update();
        Expect(0, 0, 0);

        session.TrainPass(good);
        session.TrainPass(good);
        session.Update();
        Expect(2 * loss, 8, 2);
        Assert.AreEqual(1, session.ReadReport().Applied);

        void Expect(double lossSum, double weightSum, int passes)
        {
            var report = session.ReadReport();
            Assert.AreEqual((lossSum, weightSum, passes), (report.LossSum, report.WeightSum, report.Passes));
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void An_infinite_loss_counts_where_its_gradients_were_applied(BackendRow row)
    {
        var options = new PlanOptions(4, row.Precision, new MeanSquaredError(), new Sgd(0f)) { Seed = 5, TotalUpdates = 8 };
        using var session = new TrainingSession(PlanBuilder.Build(Network.Vector(4).Linear(3), options), row.Create());
        var batch = Rows(0, 4);
        batch.Values[0] = 1e20f; // its square is infinite in FP32, its gradient in half alone
        session.TrainPass(batch);
        session.Update();
        var report = session.ReadReport();
        Assert.AreEqual(Mixed(row) ? (0, 0.0, 0.0) : (1, double.PositiveInfinity, 4.0), (report.Applied, report.LossSum, report.WeightSum));
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void An_overflow_in_any_accumulated_pass_skips_the_update(BackendRow row)
    {
        using var training = new PlantedSession(row, [1f], new Sgd(1f), o => o with { AccumulationSteps = 3, LossScale = LossScale.Dynamic(8f) });
        for (int bad = 0; bad < 3; bad++)
        {
            for (int pass = 0; pass < 3; pass++) training.Pass(pass == bad ? float.NaN : 0.5f);
            training.Session.Update();
            Assert.AreEqual(bad + 1, training.Session.ReadReport().Skipped);
            Assert.AreEqual(1f, training.Masters[0]);
        }
        for (int pass = 0; pass < 3; pass++) training.Pass(0.5f);
        training.Session.Update();
        Assert.AreEqual(-0.5f, training.Masters[0], "the sums that were not finite are gone");
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_first_parameter_whose_gradient_is_not_finite_is_named(BackendRow row)
    {
        var network = Network.Vector(1).Linear(1, name: "first").Linear(1, name: "second");
        var options = new PlanOptions(1, row.Precision, new PlantedGradient(), new Sgd()) { KeepAll = true, LossScale = LossScale.Static(1f) };
        using var session = new TrainingSession(PlanBuilder.Build(network, options), row.Create(), poison: false);
        Assert.IsNull(session.ReadReport().FirstBad);

        // h = x w1; dw2 = h r overflows, dw1 = x w2 r does not.
        float large = row.Precision == Precision.Mixed ? 1000f : 1e30f;
        Set("first.Weight", large);
        Set("first.Bias", 0f);
        Set("second.Weight", 1f / 1024);
        Set("second.Bias", 0f);
        Assert.AreEqual("second.Weight", Step(1f, large));
        Assert.AreEqual("first.Weight", Step(1f, float.PositiveInfinity), "the infinity reaches all of them");
        Assert.AreEqual("first.Weight", Step(1f, 1f), "a clean step leaves the last name");
        Assert.AreEqual(2, session.ReadReport().Skipped);

        void Set(string name, float value) => session.SetParameter(session.Plan.Parameters.Parameters.Single(p => p.Name == name), [value]);

        string? Step(float x, float gradient)
        {
            var batch = new Batch(1, 1, 1) { RowCount = 1 };
            (batch.Features[0], batch.Values[0], batch.Weights[0]) = (x, gradient, 1f);
            session.TrainPass(batch);
            session.Update();
            return session.ReadReport().FirstBad;
        }
    }

    [TestMethod]
    public void The_defaults_are_GradScalers()
    {
        var scale = LossScale.Dynamic();
        Assert.AreEqual((65536f, 2f, 0.5f, 2000, 1f), (scale.Initial, scale.GrowthFactor, scale.BackoffFactor, scale.GrowthInterval, scale.Floor));
        Assert.AreEqual(LossScale.Static(1f), LossScale.None);
    }

    [TestMethod]
    public void A_value_outside_its_range_is_refused()
    {
        foreach (float bad in new[] { 0f, -1f, float.NaN, float.PositiveInfinity })
        {
            Refused("scale", () => LossScale.Static(bad));
            Refused("initial", () => LossScale.Dynamic(initial: bad));
            Refused("floor", () => LossScale.Dynamic(floor: bad));
        }
        Refused("floor", () => LossScale.Dynamic(initial: 2f, floor: 4f));
        foreach (float bad in new[] { 0.9f, float.NaN, float.PositiveInfinity }) Refused("growthFactor", () => LossScale.Dynamic(growthFactor: bad));
        foreach (float bad in new[] { 0f, 1f, float.NaN }) Refused("backoffFactor", () => LossScale.Dynamic(backoffFactor: bad));
        Refused("growthInterval", () => LossScale.Dynamic(growthInterval: 0));

        static void Refused(string name, Func<LossScale> make) => Assert.AreEqual(name, Assert.ThrowsExactly<ArgumentOutOfRangeException>(make).ParamName);
    }

    private static bool Mixed(BackendRow row) => row.Precision == Precision.Mixed;

    /// <summary>Some rows of a data set of four features and three targets; features and targets are halves.</summary>
    private static Batch Rows(int first, int count)
    {
        var batch = new Batch(count, 4, 3) { RowCount = count };
        for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = ((first * 4 + i) * 29 % 65 - 32) / 32f;
        for (int i = 0; i < batch.Values.Length; i++) batch.Values[i] = ((first * 3 + i) * 17 % 33 - 16) / 8f;
        Array.Fill(batch.Weights, 1f);
        return batch;
    }
}
