using Microsoft.ML.Runtime;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The profile of a training: what it tells, what it counts, and that the training does not notice.</summary>
[TestClass]
public sealed class ProfileTests
{
    private readonly MLContext _ml = new(seed: 1);
    private readonly List<LoggingEventArgs> _log = [];

    public ProfileTests() => _ml.Log += (_, e) => _log.Add(e);

    [TestMethod]
    public void WithoutTheOptionNothingIsSaid()
    {
        using var model = Fit(_ => { });
        Assert.IsNull(model.Report.Profile);
        Assert.IsFalse(_log.Any(e => e.Message.Contains("rofile", StringComparison.Ordinal)));
    }

    [TestMethod]
    [DataRow("cpu", Precision.Mixed, 1, 160, 15, DisplayName = "80 updates: 15 of them, after the warm-up")]
    [DataRow("cpu", Precision.Single, 1, 160, 15)]
    [DataRow("cpu", Precision.Mixed, 1, 10, 5, DisplayName = "5 updates: all of them")]
    [DataRow("cpu", Precision.Mixed, 3, 160, 44, DisplayName = "3 batches for an update, 2 for the last: all batches of 15 updates")]
    [DataRow("simulator", Precision.Mixed, 1, 4, 2)]
    public void EveryKernelOfThePlanIsThereOnceAndTheModelIsTheSame(string device, Precision precision, int accumulation, int rows, int batches)
    {
        void Small(MixedPrecisionTrainer.Options o) =>
            (o.Device, o.Precision, o.GradientAccumulationSteps, o.BatchSize, o.Epochs) = (device, precision, accumulation, 2, 1);
        using var plain = Fit(Small, rows);
        using var model = Fit(o => { Small(o); o.Profile = true; }, rows);
        CollectionAssert.AreEqual(TrainerData.Onnx(plain, OnnxPrecision.Single), TrainerData.Onnx(model, OnnxPrecision.Single));

        var profile = model.Report.Profile!;
        var plan = PlanBuilder.Build(model.Network, new PlanOptions(2, precision, new SoftmaxCrossEntropy(), new Sgd(0.1f, 0.9f)) { AccumulationSteps = accumulation });
        CollectionAssert.AreEqual(
            plan.Train.Concat(plan.Update).Select(s => (s.Layer, s.Kernel.Name)).ToArray(), profile.Kernels.Select(k => (k.Layer, k.Kernel)).ToArray());
        Assert.AreEqual((2, batches, model.Report.Device), (profile.BatchSize, profile.Batches, profile.Device));
        Assert.AreEqual(1, profile.Kernels.Sum(k => k.Share), 1e-9);
        Assert.AreEqual(profile.Microseconds, profile.Kernels.Sum(k => k.Microseconds), 1e-9 * profile.Microseconds);
        Assert.IsTrue(profile.Kernels.All(k => k.Microseconds >= 0 && k.Share <= 1));

        string table = _log.Single(e => e.Message.Contains("Profile:", StringComparison.Ordinal) && e.Kind == ChannelMessageKind.Info).Message;
        StringAssert.Contains(table, profile.ToString());
        foreach (var kernel in profile.Kernels)
            Assert.AreEqual(profile.Kernels.Count(k => (k.Layer, k.Kernel) == (kernel.Layer, kernel.Kernel)), Count(table, $"{(kernel.Layer.Length > 0 ? kernel.Layer + ": " : "")}{kernel.Kernel}"), kernel.ToString());
    }

    [TestMethod]
    public void ATrainingThatIsCancelledBeforeHasNone()
    {
        using var source = new CancellationTokenSource();
        using var model = Fit(o => (o.Profile, o.Epochs, o.Progress, o.CancellationToken) = (true, 40, new CancelAtEndOfEpoch(source), source.Token), 40);
        Assert.AreEqual(StopReason.Cancelled, model.Report.StopReason);
        Assert.IsNull(model.Report.Profile);
        Assert.IsTrue(_log.Any(e => e.Message.Contains("No profile", StringComparison.Ordinal)));
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void WorkIsCountedFromTheShapes(BackendRow row)
    {
        // 2 groups of 3 -> 4 channels, 5x5 by 3x3 with stride 2 to 2x2, batch 2; then 32 -> 3.
        var network = Network.Image(5, 5, 6).Conv2d(8, 3, stride: 2, groups: 2).Relu().Conv2d(8, 1, groups: 2).Flatten().Linear(3);
        var plan = PlanBuilder.Build(network, new PlanOptions(2, row.Precision, new MeanSquaredError(), new Sgd(0.1f)) { TotalUpdates = 1000 });
        using var session = new TrainingSession(plan, row.Create());
        var profiler = new StepProfiler(plan, session.Device);
        Assert.IsNull(profiler.Result());
        var batch = new Batch(2, 150, 3) { RowCount = 2 };
        Array.Fill(batch.Weights, 1f);
        session.TrainPass(batch, profiler);
        session.Update(profiler);
        var kernels = profiler.Result()!.Kernels;

        int size = row.Precision == Precision.Mixed ? 2 : 4;
        Expect("Linear.Forward", flops: 2 * 2 * 32 * 3, elements: 2 * 32 + 32 * 3 + 3 + 2 * 3);
        Expect("Linear.InputGradient", flops: 2 * 2 * 32 * 3, elements: 2 * 32 + 32 * 3 + 2 * 3);
        const int pixels = 2 * 2 * 2, patch = 9 * 3, image = 2 * 5 * 5 * 6, weights = 9 * 3 * 8, output = pixels * 8;
        Expect("Conv2d.Forward + Relu.Forward", flops: 2 * (2 * pixels * patch * 4), elements: image + weights + 8 + output);
        Expect("Conv2d.InputGradient + Relu.Backward", flops: 2 * (2 * pixels * 4 * 4), elements: output + 2 * 4 * 4 + output + output);
        Assert.AreEqual(1, kernels.Count(k => (k.Layer, k.Kernel) == ("Conv2d1", "Conv2d.WeightGradient")));

        // Weights, masters and gradients; not the table of learning rates for 1000 updates.
        long length = plan.Parameters.Length;
        var update = kernels.Single(k => k.Kernel.EndsWith(".Update", StringComparison.Ordinal));
        Assert.IsLessThan(length * (row.Precision == Precision.Mixed ? 2 + 2 + 2 * 4 + 2 * 4 : 3 * 4 + 2 * 4) + 1, update.Bytes);
        Assert.IsGreaterThan(length * size, update.Bytes);

        void Expect(string name, long flops, long elements)
        {
            var kernel = kernels.Single(k => k.Kernel == name);
            Assert.AreEqual((flops, elements * size), (kernel.FloatingPointOperations, kernel.Bytes), name);
        }
    }

    [TestMethod]
    public void AStridedInputGradientCountsWhatItsForwardDoes()
    {
        var network = Network.Image(8, 8, 4).Conv2d(4, 1).Conv2d(8, 3, stride: 2, padding: 1).Flatten().Linear(2);
        var plan = PlanBuilder.Build(network, new PlanOptions(2, Precision.Mixed, new MeanSquaredError(), new Sgd(0.1f)));
        long Flops(string kernel) => plan.Train.Single(s => (s.Layer, s.Kernel.Name) == ("Conv2d2", kernel)).Kernel.FloatingPointOperations;
        Assert.AreEqual(2L * (2 * 4 * 4) * (9 * 4) * 8, Flops("Conv2d.Forward"));
        Assert.AreEqual(Flops("Conv2d.Forward"), Flops("Conv2d.InputGradient"));
        Assert.AreEqual(Flops("Conv2d.Forward"), Flops("Conv2d.WeightGradient"));
    }

    [TestMethod]
    [DataRow(1, 0, 1)]
    [DataRow(14, 0, 14)]
    [DataRow(16, 1, 15)]
    [DataRow(65, 50, 15)]
    [DataRow(100_000, 50, 15)]
    public void TheStepsThatAreTimedComeAfterTheWarmUpOrAreTheLast(int updates, int first, int count) =>
        Assert.AreEqual((first, count), StepProfiler.Window(updates));

    private MixedPrecisionTransformer Fit(Action<MixedPrecisionTrainer.Options> change, int rows = 60) =>
        new MixedPrecisionTrainer(_ml, TrainerData.Options(change)).Fit(TrainerData.Keyed(_ml, rows));

    /// <summary>Lines that end in it.</summary>
    private static int Count(string table, string end) => table.Split('\n').Count(line => line.TrimEnd().EndsWith("  " + end, StringComparison.Ordinal));

    private sealed class CancelAtEndOfEpoch(CancellationTokenSource source) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => source.Cancel();
    }
}
