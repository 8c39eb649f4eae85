namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class ScheduleTests
{
    /// <summary>Of FP64: a few operations, and a cosine.</summary>
    private const double Delta = 1e-14;

    [TestMethod]
    public void Constant_is_one() => Check(Schedule.Constant(), 5, [1, 1, 1, 1, 1]);

    [TestMethod]
    public void The_warmup_is_linear_and_reaches_the_schedule_one_update_after_its_end()
    {
        Check(Schedule.Constant(warmup: 4), 7, [0.2, 0.4, 0.6, 0.8, 1, 1, 1]);
        Check(Schedule.Constant(warmup: 1), 3, [0.5, 1, 1]);
        // PyTorch's LinearLR(start_factor: s, total_iters: W): s + (1 - s) u / W up to W.
        const double s = 1.0 / 6;
        Check(Schedule.Constant(warmup: 5), 8, [.. Enumerable.Range(0, 8).Select(u => s + (1 - s) * Math.Min(u, 5) / 5)]);
    }

    [TestMethod]
    public void A_warmup_may_be_longer_than_the_training()
    {
        Check(Schedule.Constant(warmup: 9), 3, [0.1, 0.2, 0.3]);
        Check(Schedule.Cosine(warmup: 9), 3, [0.1, 0.2, 0.3]);
        Check(Schedule.OneCycle(warmup: 9), 5, [0.1 / 25, 0.2 / 25, 0.3 / 25, 0.4 / 25, 0.5 / 25]);
        Check(Schedule.Step(1, 0.5, warmup: 9), 4, [0.1, 0.2, 0.5 * 0.3, 0.5 * 0.4], passesPerEpoch: 2);
    }

    [TestMethod]
    public void Step_multiplies_by_gamma_after_every_so_many_epochs()
    {
        // The example of PyTorch's StepLR: 0.05, from epoch 30 on 0.005, from 60 on 0.0005.
        var training = new TrainingLength(90 * 7, 7, 1);
        foreach (var (update, rate) in new[] { (0, 0.05), (30 * 7 - 1, 0.05), (30 * 7, 0.005), (60 * 7 - 1, 0.005), (60 * 7, 0.0005), (90 * 7 - 1, 0.0005) })
            Assert.AreEqual(rate, 0.05 * Schedule.Step(30).Factor(update, training), Delta, $"update {update}");
        Check(Schedule.Step(2, gamma: 0.5), 10, [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25], passesPerEpoch: 2);
        Check(Schedule.Step(1, gamma: 1), 3, [1, 1, 1]);
    }

    [TestMethod]
    public void Step_counts_epochs_where_an_update_takes_several_passes()
    {
        // 4 batches an epoch, 3 an update: updates start at passes 0, 3, 6, 9 - epochs 0, 0, 1, 2.
        Check(Schedule.Step(1, gamma: 0.5), 4, [1, 1, 0.5, 0.25], passesPerEpoch: 4, passesPerUpdate: 3);
        Check(Schedule.Step(1, gamma: 0.5), 4, [1, 1, 0.5, 0.5], passesPerEpoch: 4, passesPerUpdate: 2);
        Assert.AreEqual(2_000_000L, new TrainingLength(int.MaxValue, 1000, 1_000_000).Epoch(2000), "beyond 32 bits of passes");
        Assert.AreEqual(2_000_000_000L, new TrainingLength(int.MaxValue, 1, 1000).Epoch(2_000_000));
    }

    [TestMethod]
    public void The_epochs_of_a_warmup_count() =>
        Check(Schedule.Step(1, gamma: 0.5, warmup: 3), 6, [0.25, 0.5, 0.75 / 2, 0.5, 0.25, 0.25], passesPerEpoch: 2);

    [TestMethod]
    public void Cosine_falls_along_half_a_cosine()
    {
        Check(Schedule.Cosine(), 4, [1, (2 + Math.Sqrt(2)) / 4, 0.5, (2 - Math.Sqrt(2)) / 4]);
        Check(Schedule.Cosine(minimum: 0.1), 6, [1, 0.1 + 0.45 * (1 + Math.Sqrt(3) / 2), 0.775, 0.55, 0.325, 0.1 + 0.45 * (1 - Math.Sqrt(3) / 2)]);
        Check(Schedule.Cosine(minimum: 1), 3, [1, 1, 1]);
        Check(Schedule.Cosine(warmup: 2), 4, [1 / 3.0, 2 / 3.0, 1, 0.5]);
    }

    /// <summary>CosineAnnealingLR's own recurrence, which PyTorch steps instead of the closed form.</summary>
    [TestMethod]
    public void Cosine_is_PyTorchs_recurrence()
    {
        const int max = 50;
        const double eta = 0.05;
        double rate = 1;
        for (int u = 0; u < max; u++)
        {
            if (u > 0) rate = (1 + Math.Cos(Math.PI * u / max)) / (1 + Math.Cos(Math.PI * (u - 1) / max)) * (rate - eta) + eta;
            Assert.AreEqual(rate, Schedule.Cosine(eta).Factor(u, new TrainingLength(max, 1, 1)), 1e-12, $"update {u}");
        }
    }

    /// <summary>OneCycleLR(max_lr: 1, total_steps: 10): the peak is at 0.3 * 10 - 1 = 2, the end at 9.</summary>
    [TestMethod]
    public void OneCycle_with_PyTorchs_defaults()
    {
        Check(Schedule.OneCycle(), 10,
        [
            0.04, 0.52, 1, 0.9504846320134738, 0.8117456539497631, 0.6112620219362892, 0.38874197806371086, 0.18825834605023682, 0.04951936798652629, 4e-6,
        ], delta: 1e-12);
    }

    [TestMethod]
    [DataRow(0.3, 25.0, 1e4, 100)]
    [DataRow(0.25, 10.0, 100.0, 37)] // the peak lies between two updates
    [DataRow(0.0, 25.0, 1e4, 8)]     // before the first
    [DataRow(1.0, 25.0, 1e4, 8)]     // at the last
    [DataRow(0.5, 1.0, 1.0, 6)]
    [DataRow(0.3, 25.0, 1e4, 1)]
    public void OneCycle_is_PyTorchs(double risingShare, double initialDivisor, double finalDivisor, int updates)
    {
        var schedule = Schedule.OneCycle(risingShare, initialDivisor, finalDivisor);
        for (int u = 0; u < updates; u++)
            Assert.AreEqual(Reference(u), schedule.Factor(u, new TrainingLength(updates, 1, 1)), Delta, $"update {u}");

        // get_lr of torch.optim.lr_scheduler.OneCycleLR: phases with an end_step, an initial and a final rate.
        double Reference(int step)
        {
            double initial = 1 / initialDivisor, minimum = initial / finalDivisor;
            (double End, double From, double To)[] phases = [(risingShare * updates - 1, initial, 1), (updates - 1, 1, minimum)];
            double start = 0;
            foreach (var (i, phase) in phases.Index())
            {
                if (step <= phase.End || i == phases.Length - 1)
                {
                    double share = (step - start) / (phase.End - start);
                    return phase.To + (phase.From - phase.To) / 2 * (Math.Cos(Math.PI * share) + 1);
                }
                start = phase.End;
            }
            throw new InvalidOperationException();
        }
    }

    /// <summary>There PyTorch divides by zero.</summary>
    [TestMethod]
    public void OneCycle_whose_peak_is_the_first_update_starts_there()
    {
        Check(Schedule.OneCycle(risingShare: 0.25, initialDivisor: 2, finalDivisor: 2), 4, [1, 0.8125, 0.4375, 0.25]);
        Check(Schedule.OneCycle(risingShare: 1), 1, [1]);
    }

    [TestMethod]
    public void A_warmup_leads_to_the_first_rate_of_a_cycle() =>
        Check(Schedule.OneCycle(risingShare: 0.5, initialDivisor: 4, finalDivisor: 1, warmup: 3), 7, [1 / 16.0, 2 / 16.0, 3 / 16.0, 0.25, 1, 0.625, 0.25]);

    public static IEnumerable<TestDataRow<(string Name, Func<Schedule> Make)>> OutOfRange =>
    [
        new(("warmup", () => Schedule.Constant(-1))), new(("warmup", () => Schedule.Step(1, warmup: -1))), new(("warmup", () => Schedule.Cosine(warmup: -1))), new(("warmup", () => Schedule.OneCycle(warmup: -1))),
        new(("epochs", () => Schedule.Step(0))), new(("epochs", () => Schedule.Step(-3))),
        new(("gamma", () => Schedule.Step(1, 0))), new(("gamma", () => Schedule.Step(1, 1.1))), new(("gamma", () => Schedule.Step(1, double.NaN))),
        new(("minimum", () => Schedule.Cosine(-0.1))), new(("minimum", () => Schedule.Cosine(1.1))), new(("minimum", () => Schedule.Cosine(double.NaN))),
        new(("risingShare", () => Schedule.OneCycle(-0.1))), new(("risingShare", () => Schedule.OneCycle(1.1))), new(("risingShare", () => Schedule.OneCycle(double.NaN))),
        new(("initialDivisor", () => Schedule.OneCycle(initialDivisor: 0.9))), new(("initialDivisor", () => Schedule.OneCycle(initialDivisor: double.PositiveInfinity))),
        new(("finalDivisor", () => Schedule.OneCycle(finalDivisor: 0))), new(("finalDivisor", () => Schedule.OneCycle(finalDivisor: double.NaN))),
    ];

    [TestMethod, DynamicData(nameof(OutOfRange))]
    public void A_value_outside_its_range_is_named(string name, Func<Schedule> make)
    {
        var e = Assert.ThrowsExactly<ArgumentOutOfRangeException>(make);
        Assert.AreEqual(name, e.ParamName);
        StringAssert.StartsWith(e.Message, $"{name}: expected");
    }

    [TestMethod]
    public void Schedules_of_the_same_values_are_equal()
    {
        Assert.AreEqual(Schedule.Cosine(0.1, 5), Schedule.Cosine(0.1, 5));
        Assert.AreNotEqual(Schedule.Cosine(0.1, 5), Schedule.Cosine(0.1, 6));
        Assert.AreNotEqual(Schedule.Cosine(), Schedule.Constant());
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_skipped_step_does_not_advance_the_schedule(BackendRow row)
    {
        // Factors 1, 1/2, 1/4, 1/8 and a rate of 1: every weight is a binary fraction.
        using var training = new PlantedSession(row, [8f], new Sgd(1f), o => o with { Schedule = Schedule.Step(1, 0.5), TotalUpdates = 4, LossScale = LossScale.Dynamic(64f) });
        training.Step(1f);
        Assert.AreEqual(7f, training.Masters[0]);
        training.Overflow();
        training.Overflow();
        Assert.AreEqual(7f, training.Masters[0]);
        training.Step(1f);
        Assert.AreEqual(6.5f, training.Masters[0]);
        training.Overflow();
        training.Step(1f);
        Assert.AreEqual(6.25f, training.Masters[0]);
        var report = training.Step(1f);
        Assert.AreEqual(6.125f, training.Masters[0]);
        Assert.AreEqual((4, 3), (report.Applied, report.Skipped));
    }

    [TestMethod]
    public void Fit_reports_the_scheduled_rate_and_learns_otherwise()
    {
        var ml = new MLContext(1);
        var data = TrainerData.Keyed(ml, 64);
        Action<MixedPrecisionTrainer.Options> Use(Schedule? schedule) => o => (o.Schedule, o.Precision, o.ValidationFraction) = (schedule, Precision.Single, 0f);
        using var plain = new MixedPrecisionTrainer(ml, TrainerData.Options(Use(null))).Fit(data);
        using var constant = new MixedPrecisionTrainer(ml, TrainerData.Options(Use(Schedule.Constant()))).Fit(data);
        CollectionAssert.AreEqual(TrainerData.Onnx(plain), TrainerData.Onnx(constant), "the default is a constant rate");

        using var stepped = new MixedPrecisionTrainer(ml, TrainerData.Options(Use(Schedule.Step(1, 0.5)))).Fit(data);
        // At the end of an epoch the rate is that of the next update, at the end of the training that of the last one.
        CollectionAssert.AreEqual(new[] { 0.05f, 0.025f, 0.0125f, 0.0125f }, stepped.Report.Epochs.Select(e => (float)e.LearningRate).ToArray());
        CollectionAssert.AreNotEqual(TrainerData.Onnx(plain), TrainerData.Onnx(stepped));
        Assert.AreEqual(plain.Report.Epochs[0].Loss, stepped.Report.Epochs[0].Loss, "the first epoch has the same rate");
        Assert.AreNotEqual(plain.Report.Epochs[2].Loss, stepped.Report.Epochs[2].Loss);
    }

    private static void Check(Schedule schedule, int updates, double[] expected, long passesPerEpoch = 1, int passesPerUpdate = 1, double delta = Delta)
    {
        Assert.HasCount(updates, expected);
        for (int u = 0; u < updates; u++)
            Assert.AreEqual(expected[u], schedule.Factor(u, new TrainingLength(updates, passesPerEpoch, passesPerUpdate)), delta, $"update {u} of {schedule}");
    }
}
