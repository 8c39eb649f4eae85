namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class BatchNormTests
{
    private const double Eps = 1e-5;

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        // Roundings: xhat enters the gradient three times, and half's error in x is magnified by 1/deviation, about 2 here.
        foreach (var (input, batch, rows) in new[]
        {
            (Network.Vector(1), 5, 5), (Network.Vector(17), 7, 7), (Network.Vector(3), 6, 4),
            (Network.Image(3, 2, 5, PixelOrder.Interleaved), 3, 3), (Network.Image(4, 5, 17, PixelOrder.Interleaved), 2, 1),
        })
        {
            int channels = input.Shape.Channels;
            OpCheck.Run(row.Create(), input.BatchNorm(), v => Reference(v.Input, v.Parameters[0], v.Parameters[1], channels), batch, roundings: 8, rows: rows);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Many_parts_join_as_one(BackendRow row)
    {
        // 3 examples of 11 x 25 pixels are 825 rows: four parts, the last one short. A mean of 40 beside a deviation of 0.3 would
        // cancel in E[x^2] - E[x]^2.
        using var session = Session(row, Network.Image(11, 25, 2, PixelOrder.Interleaved).BatchNorm(), 3);
        var batch = new Batch(3, 550, 550) { RowCount = 3 };
        var random = new Random(1);
        for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = row.Precision == Precision.Mixed ? (float)(Half)(40 + random.NextDouble()) : 40 + (float)random.NextDouble();
        session.TrainPass(batch);
        var expected = Reference([.. batch.Features.Select(f => (double)f)], [1, 1], [0, 0], 2);
        Tolerance.AssertClose(expected, session.Read(session.Plan.TrainOutputs["BatchNorm1"]), row.Precision, 2, 825, "output");
        for (int c = 0; c < 2; c++)
        {
            var values = batch.Features.Where((_, i) => i % 2 == c).Select(f => (double)f).ToArray();
            double mean = values.Average(), variance = values.Sum(v => (v - mean) * (v - mean)) / (values.Length - 1);
            Tolerance.AssertClose([0.1 * mean], session.Read(session.Plan.Buffers[0].Values).AsSpan(c, 1), Precision.Single, 0, 825, "running mean");
            Tolerance.AssertClose([0.9 + 0.1 * variance], session.Read(session.Plan.Buffers[1].Values).AsSpan(c, 1), Precision.Single, 0, 825, "running variance");
        }
    }

    /// <summary>Parts are summed about their first row: that of the second part, row 256, is a hundred deviations away here.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_first_row_of_a_part_may_be_far_from_the_others(BackendRow row)
    {
        using var session = Session(row, Network.Image(11, 25, 1, PixelOrder.Interleaved).BatchNorm(), 2);
        var batch = new Batch(2, 275, 275) { RowCount = 2 };
        for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = i == ChannelParts.RowsPerPart ? 100f : i % 3 - 1f;
        session.TrainPass(batch);
        var values = batch.Features.Select(f => (double)f).ToArray();
        double mean = values.Average(), variance = values.Sum(v => (v - mean) * (v - mean)) / (values.Length - 1);
        Tolerance.AssertClose([0.1 * mean], session.Read(session.Plan.Buffers[0].Values), Precision.Single, 0, 550, "running mean");
        Tolerance.AssertClose([0.9 + 0.1 * variance], session.Read(session.Plan.Buffers[1].Values), Precision.Single, 0, 550, "running variance");
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Inference_takes_the_running_statistics(BackendRow row)
    {
        using var session = Session(row, Network.Vector(2).BatchNorm(), 2);
        session.Write(session.Plan.Buffers[0].Values, [1f, -2f]);
        session.Write(session.Plan.Buffers[1].Values, [4f, 0.25f]);
        var batch = new Batch(2, 2, 2) { RowCount = 2 };
        new float[] { 1, 2, 3, 4 }.CopyTo(batch.Features, 0);
        session.EvaluatePass(batch);
        var y = new float[4];
        session.ReadOutput(y);
        double[] expected = [0, 4 / Math.Sqrt(0.25 + Eps), 2 / Math.Sqrt(4 + Eps), 6 / Math.Sqrt(0.25 + Eps)];
        Tolerance.AssertClose(expected, y, row.Precision, 1, 4, "output");
        CollectionAssert.AreEqual(new[] { 1f, -2f }, session.Read(session.Plan.Buffers[0].Values));
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_batch_that_is_not_finite_leaves_the_running_statistics_alone(BackendRow row)
    {
        using var session = Session(row, Network.Vector(2).BatchNorm(), 2);
        var batch = new Batch(2, 2, 2) { RowCount = 2 };
        new float[] { float.PositiveInfinity, 2, 3, 4 }.CopyTo(batch.Features, 0);
        session.TrainPass(batch);
        Assert.AreEqual(0f, session.Read(session.Plan.Buffers[0].Values)[0]);
        Assert.AreEqual(1f, session.Read(session.Plan.Buffers[1].Values)[0]);
        Assert.AreEqual(0.3f, session.Read(session.Plan.Buffers[0].Values)[1], 1e-6f);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void Channels_that_are_no_multiple_of_a_vector_keep_to_their_rows(BackendRow row)
    {
        // Whole vectors are stored over the rows' ends: 300 rows are two parts, 291 of them valid.
        foreach (int channels in new[] { 1, 3, 15, 16, 17, 37 })
        {
            const int Batch = 100, Rows = 97, Pixels = 3;
            using var session = Session(row, Network.Image(1, Pixels, channels, PixelOrder.Interleaved).BatchNorm(), Batch);
            var batch = new Batch(Batch, Pixels * channels, Pixels * channels) { RowCount = Rows };
            var random = new CounterRandom(3, (uint)channels);
            int valid = Rows * Pixels * channels;
            for (int i = 0; i < valid; i++)
            {
                batch.Features[i] = (float)(Half)(2 * CounterRandom.ToUnit(random.Bits((uint)i)) - 1);
                batch.Values[i] = (float)(Half)(2 * CounterRandom.ToUnit(random.Bits((uint)(valid + i))) - 1);
            }
            session.TrainPass(batch);
            double[] x = [.. batch.Features[..valid].Select(v => (double)v)], dy = [.. batch.Values[..valid].Select(v => (double)v)];
            double[] one = [.. Enumerable.Repeat(1.0, channels)], zero = new double[channels];
            Tolerance.AssertClose(Reference(x, one, zero, channels), session.Read(session.Plan.TrainOutputs["BatchNorm1"]).AsSpan(0, valid), row.Precision, 2, Rows * Pixels, $"{channels} channels, output");
            var (dx, dWeight, dBias) = ReferenceGradients(x, dy, channels);
            Tolerance.AssertClose(dx, session.Read(session.Plan.InputGradient!).AsSpan(0, valid), row.Precision, 3, Rows * Pixels, $"{channels} channels, input gradient");
            Tolerance.AssertClose(dWeight, session.Read(session.Plan.Parameters.Parameters[0].Gradient), row.Precision, 3, Rows * Pixels, $"{channels} channels, weight gradient");
            Tolerance.AssertClose(dBias, session.Read(session.Plan.Parameters.Parameters[1].Gradient), row.Precision, 3, Rows * Pixels, $"{channels} channels, bias gradient");
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Padding_far_from_the_mean_spoils_nothing(BackendRow row)
    {
        // Zeros would become -1000.5 / 0.5 * 60 = -120,060: infinity as a half.
        using var session = Session(row, Network.Vector(1).BatchNorm().Linear(2), 4);
        session.SetParameter(session.Plan.Parameters.Parameters[0], [60f]);
        var batch = new Batch(4, 1, 2) { RowCount = 2 };
        new[] { 1000f, 1001f }.CopyTo(batch.Features, 0);
        new[] { 1f, 0f, 0f, 1f }.CopyTo(batch.Values, 0);
        session.TrainPass(batch);
        var y = session.Read(session.Plan.TrainOutputs["BatchNorm1"]);
        double scaled = 30 / Math.Sqrt(0.25 + Eps);
        Tolerance.AssertClose([-scaled, scaled, 0, 0], y, row.Precision, 2, 4, "output");
        foreach (var parameter in session.Plan.Parameters.Parameters)
            Assert.IsTrue(session.Read(parameter.Gradient).All(float.IsFinite), parameter.Name);
        Tolerance.AssertClose([-scaled, scaled], session.Read(session.Plan.Parameters.Parameters[2].Gradient), row.Precision, 2, 4, "weight gradient");
        CollectionAssert.AreEqual(new[] { 0f, 0f }, session.Read(session.Plan.InputGradient!)[2..]);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void One_vector_becomes_the_bias(BackendRow row)
    {
        using var session = Session(row, Network.Vector(2).BatchNorm(), 2);
        session.SetParameter(session.Plan.Parameters.Parameters[1], [3f, -4f]);
        var batch = new Batch(2, 2, 2) { RowCount = 1 };
        new[] { 5f, 7f }.CopyTo(batch.Features, 0);
        new[] { 1f, 1f }.CopyTo(batch.Values, 0);
        session.TrainPass(batch);
        CollectionAssert.AreEqual(new[] { 3f, -4f, 0f, 0f }, session.Read(session.Plan.TrainOutputs["BatchNorm1"]));
        CollectionAssert.AreEqual(new float[4], session.Read(session.Plan.InputGradient!));
        Tolerance.AssertClose([0.9, 0.9], session.Read(session.Plan.Buffers[1].Values), Precision.Single, 0, 2, "running variance");
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void A_variance_that_no_half_holds_is_exported(Precision precision)
    {
        using var session = ExportHarness.NewSession(new CpuBackend(precision), Network.Vector(3).BatchNorm(), 3, 20_000, 5, out var sample);
        foreach (var parameter in session.Plan.Parameters.Parameters) session.SetParameter(parameter, [1f, 2f, 3f]);
        session.Write(session.Plan.Buffers[1].Values, [1e8f, 3e8f, 70_000f]);
        var trained = TrainedNetwork.From(session);
        ExportCheck.Verify(trained, OnnxPrecision.Half, session, sample);
        ExportCheck.Verify(trained, OnnxPrecision.Single, session, sample);
        // Were the variance infinite, every row would be the bias.
        session.EvaluatePass(sample);
        var y = new float[9];
        session.ReadOutput(y);
        Assert.IsTrue(y.Select((v, i) => Math.Abs(v - (1 + i % 3))).Max() > 0.5f);
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Exports(Precision precision)
    {
        ExportHarness.Run(new CpuBackend(precision), Network.Vector(5).BatchNorm());
        ExportHarness.Run(new CpuBackend(precision), Network.Image(4, 3, 5).BatchNorm().Flatten());
    }

    [TestMethod]
    public void Has_the_defaults_of_PyTorch()
    {
        var op = (BatchNorm)Network.Image(4, 4, 3).BatchNorm().Node.Op!;
        CollectionAssert.AreEqual(new[] { 1f, 1f, 1f }, op.Parameters([Shape.Image(4, 4, 3)])[0].Initializer.Create(3, default));
        CollectionAssert.AreEqual(new[] { 0f, 0f, 0f }, op.Parameters([Shape.Image(4, 4, 3)])[1].Initializer.Create(3, default));
        Assert.AreEqual(0f, op.Buffers([Shape.Vector(2)])[0].Initial);
        Assert.AreEqual(1f, op.Buffers([Shape.Vector(2)])[1].Initial);
        Defaults.AssertEqual(nameof(Network.BatchNorm), ("eps", 1e-5f), ("momentum", 0.1f));
    }

    [TestMethod]
    public void Refuses_values_outside_their_range()
    {
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Vector(2).BatchNorm(eps: 0f));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Vector(2).BatchNorm(momentum: 1.5f));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Vector(2).BatchNorm(eps: float.NaN));
    }

    private static TrainingSession Session(BackendRow row, Network network, int batch) => new(
        PlanBuilder.Build(network, new PlanOptions(batch, row.Precision, new PlantedGradient(), new Sgd()) { KeepAll = true, InputGradient = true }), row.Create());

    /// <summary>For a weight of 1 and a bias of 0.</summary>
    private static (double[] Input, double[] Weight, double[] Bias) ReferenceGradients(double[] x, double[] dy, int channels)
    {
        int rows = x.Length / channels;
        double[] dx = new double[x.Length], weight = new double[channels], bias = new double[channels];
        for (int c = 0; c < channels; c++)
        {
            double mean = 0, variance = 0;
            for (int r = 0; r < rows; r++) mean += x[r * channels + c] / rows;
            for (int r = 0; r < rows; r++) variance += (x[r * channels + c] - mean) * (x[r * channels + c] - mean) / rows;
            double deviation = Math.Sqrt(variance + Eps);
            for (int r = 0; r < rows; r++)
            {
                bias[c] += dy[r * channels + c];
                weight[c] += dy[r * channels + c] * (x[r * channels + c] - mean) / deviation;
            }
            for (int r = 0; r < rows; r++)
                dx[r * channels + c] = (dy[r * channels + c] - bias[c] / rows - (x[r * channels + c] - mean) / deviation * weight[c] / rows) / deviation;
        }
        return (dx, weight, bias);
    }

    private static double[] Reference(double[] x, double[] weight, double[] bias, int channels)
    {
        int rows = x.Length / channels;
        var y = new double[x.Length];
        for (int c = 0; c < channels; c++)
        {
            double mean = 0, variance = 0;
            for (int r = 0; r < rows; r++) mean += x[r * channels + c] / rows;
            for (int r = 0; r < rows; r++) variance += (x[r * channels + c] - mean) * (x[r * channels + c] - mean) / rows;
            for (int r = 0; r < rows; r++) y[r * channels + c] = (x[r * channels + c] - mean) / Math.Sqrt(variance + Eps) * weight[c] + bias[c];
        }
        return y;
    }
}
