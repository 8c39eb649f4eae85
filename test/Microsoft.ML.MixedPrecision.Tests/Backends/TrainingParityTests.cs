namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Whole training steps, from upload to loss scale, on every backend: what the CPU path does, all do.</summary>
[TestClass]
public sealed class TrainingParityTests
{
    private const int Batch = 6, Height = 6, Width = 5, Classes = 3, Updates = 4, MicroSteps = 2;

    private static readonly Network Net =
        Network.Image(Height, Width, 2).Conv2d(4, kernel: 3).BatchNorm().Relu().MaxPool2d(2).Flatten().Linear(Classes);

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Training_goes_the_way_of_the_single_precision_CPU(BackendRow row)
    {
        using var expected = Session(new CpuBackend(Precision.Single), LossScale.None);
        using var actual = Session(row.Create(), LossScale.Static(1024f));
        Train(expected);
        Train(actual);

        var (e, a) = (expected.ReadReport(), actual.ReadReport());
        Assert.AreEqual(Updates, a.Applied);
        Assert.AreEqual(0, a.Skipped);
        Assert.AreEqual(e.WeightSum, a.WeightSum);
        // Per update a value is rounded about four times on its way through the layers and back; the paths' errors add up.
        int roundings = 4 * Updates, operations = Updates * MicroSteps * Batch * Height * Width;
        Tolerance.AssertClose([e.LossSum / e.WeightSum], [(float)(a.LossSum / a.WeightSum)], row.Precision, roundings, operations, "loss");
        foreach (var (p, q) in expected.Plan.Parameters.Parameters.Zip(actual.Plan.Parameters.Parameters))
            Tolerance.AssertClose([.. expected.ReadParameter(p).Select(v => (double)v)], actual.ReadParameter(q), row.Precision, roundings, operations, p.Name);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_same_training_twice_gives_the_same_bits(BackendRow row)
    {
        using var first = Session(row.Create(), LossScale.Dynamic());
        using var second = Session(row.Create(), LossScale.Dynamic());
        Train(first);
        Train(second);
        foreach (var p in first.Plan.Parameters.Parameters.Zip(second.Plan.Parameters.Parameters))
            CollectionAssert.AreEqual(first.ReadParameter(p.First), second.ReadParameter(p.Second), p.First.Name);
        Assert.AreEqual(first.ReadReport(), second.ReadReport());
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void An_overflow_leaves_the_weights_and_halves_the_scale(BackendRow row)
    {
        if (row.Precision == Precision.Single) return; // nothing overflows there, and the scale is 1
        using var session = Session(row.Create(), LossScale.Dynamic(initial: 1e30f));
        var before = session.Plan.Parameters.Parameters.Select(session.ReadParameter).ToArray();
        Train(session);
        foreach (var (parameter, values) in session.Plan.Parameters.Parameters.Zip(before)) CollectionAssert.AreEqual(values, session.ReadParameter(parameter), parameter.Name);
        var report = session.ReadReport();
        Assert.AreEqual((0, Updates), (report.Applied, report.Skipped));
        Assert.AreEqual(1e30f / (1 << Updates), report.Scale);
        Assert.IsNotNull(report.FirstBad);
    }

    private static TrainingSession Session(Backend backend, LossScale scale)
    {
        var options = new PlanOptions(Batch, backend.Precision, new SoftmaxCrossEntropy(), new Sgd(0.1f, momentum: 0.9f))
        {
            Seed = 1, TotalUpdates = Updates, AccumulationSteps = MicroSteps, ClipNorm = 0.5f, LossScale = scale,
        };
        return new TrainingSession(PlanBuilder.Build(Net, options), backend, poison: true);
    }

    private static void Train(TrainingSession session)
    {
        var random = new Random(11);
        for (int pass = 0; pass < Updates * MicroSteps; pass++)
        {
            var batch = new Batch(Batch, Height * Width * 2, 0) { RowCount = pass == 3 ? Batch - 2 : Batch };
            for (int i = 0; i < batch.RowCount * Height * Width * 2; i++) batch.Features[i] = (float)(random.NextDouble() * 2 - 1);
            for (int i = 0; i < batch.RowCount; i++) (batch.Classes[i], batch.Weights[i]) = (random.Next(Classes), 1f);
            session.TrainPass(batch);
            if (pass % MicroSteps == MicroSteps - 1) session.Update();
        }
    }
}
