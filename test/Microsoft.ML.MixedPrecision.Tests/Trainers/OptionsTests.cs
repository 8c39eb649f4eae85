using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Every option: what it refuses, and that it changes something.</summary>
[TestClass]
public sealed class OptionsTests
{
    private readonly MLContext _ml = new(seed: 1);

    public static IEnumerable<object[]> Invalid =>
    [
        Case("FeatureColumnName", o => o.FeatureColumnName = " "),
        Case("FeatureColumnName", o => o.FeatureColumnName = null!),
        Case("LabelColumnName", o => o.LabelColumnName = ""),
        Case("ExampleWeightColumnName", o => o.ExampleWeightColumnName = ""),
        Case("Network", o => o.Network = null),
        Case("Epochs", o => o.Epochs = 0),
        Case("Epochs", o => o.Epochs = -1),
        Case("BatchSize", o => o.BatchSize = 0),
        Case("BatchSize", o => o.BatchSize = -16),
        Case("GradientAccumulationSteps", o => o.GradientAccumulationSteps = 0),
        Case("GradientClipNorm", o => o.GradientClipNorm = 0f),
        Case("GradientClipNorm", o => o.GradientClipNorm = -1f),
        Case("GradientClipNorm", o => o.GradientClipNorm = float.NaN),
        Case("Precision", o => o.Precision = (Precision)7),
        Case("Threads", o => o.Threads = -1),
        Case("Threads", o => o.Threads = 5000),
        Case("Threads", o => o.Threads = int.MaxValue),
        Case("ValidationFraction", o => o.ValidationFraction = -0.1f),
        Case("ValidationFraction", o => o.ValidationFraction = 1f),
        Case("ValidationFraction", o => o.ValidationFraction = float.NaN),
        Case("ValidationFraction", o => (o.ValidationFraction, o.ValidationSet) = (0.5f, new MLContext().Data.LoadFromEnumerable(TrainerData.Rows(1)))),
        Case("EarlyStopping", o => o.EarlyStopping = new EarlyStopping()),
        Case("EarlyStopping.Patience", o => (o.ValidationFraction, o.EarlyStopping) = (0.5f, new EarlyStopping(Patience: 0))),
        Case("EarlyStopping.MinimumChange", o => (o.ValidationFraction, o.EarlyStopping) = (0.5f, new EarlyStopping(MinimumChange: float.NaN))),
        Case("EarlyStopping.Metric", o => (o.ValidationFraction, o.EarlyStopping) = (0.5f, new EarlyStopping((EarlyStoppingMetric)9))),
        Case("CheckpointPath", o => o.CheckpointPath = " "),
        Case("LearningRate", o => o.Optimizer = new Sgd(0f)),
        Case("LearningRate", o => o.Optimizer = new Sgd(float.NaN)),
        Case("LabelSmoothing", o => o.Loss = new SoftmaxCrossEntropy(1f)),
        Case("ClassWeights", o => o.Loss = new SoftmaxCrossEntropy { ClassWeights = [1f, -1f, 1f] }),
    ];

    public static IEnumerable<object[]> Changing =>
    [
        Change("ExampleWeightColumnName", o => o.ExampleWeightColumnName = "Weight"),
        Change("Network", o => o.Network = Network.Vector(TrainerData.Features).Linear(8).Relu()),
        Change("Loss", o => o.Loss = new SoftmaxCrossEntropy(0.2f)),
        Change("ClassWeights", o => o.Loss = new SoftmaxCrossEntropy { ClassWeights = [1f, 3f, 1f] }),
        Change("Optimizer", o => o.Optimizer = new Sgd(0.1f)),
        Change("Schedule", o => o.Schedule = Schedule.Cosine()),
        Change("Epochs", o => o.Epochs = 5),
        Change("BatchSize", o => o.BatchSize = 20),
        Change("Shuffle", o => o.Shuffle = false),
        Change("GradientAccumulationSteps", o => o.GradientAccumulationSteps = 2),
        Change("GradientClipNorm", o => o.GradientClipNorm = 0.1f),
        Change("Precision", o => o.Precision = Precision.Single),
        Change("ValidationFraction", o => o.ValidationFraction = 0.3f),
        Change("Seed", o => o.Seed = 8),
    ];

    [TestMethod]
    [DataRow("gpu")]
    [DataRow("cuda")]
    [DataRow("cuda:-1")]
    [DataRow("CPU")]
    public void ADeviceThatIsNoNameIsRefusedAtOnce(string device)
    {
        var e = Assert.ThrowsExactly<ArgumentException>(() => new MixedPrecisionTrainer(new MLContext(1), new() { Network = Network.Vector(2), Device = device }));
        StringAssert.Contains(e.Message, $"got \"{device}\"");
    }

    [TestMethod]
    [DynamicData(nameof(Invalid))]
    public void ABadValueIsNamed(string field, Action<MixedPrecisionTrainer.Options> change)
    {
        var e = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new MixedPrecisionTrainer(_ml, TrainerData.Options(change)));
        StringAssert.Contains(e.Message, $"{field}: expected");
        StringAssert.Contains(e.Message, "got");
    }

    [TestMethod]
    [DynamicData(nameof(Changing))]
    public void AnOptionChangesTheModel(string field, Action<MixedPrecisionTrainer.Options> change)
    {
        byte[] plain = Fit(null), changed = Fit(change);
        Assert.IsFalse(plain.AsSpan().SequenceEqual(changed), $"{field} changed nothing.");
        CollectionAssert.AreEqual(changed, Fit(change), $"{field}: two runs with one seed differ.");
    }

    [TestMethod]
    public void ColumnsMayHaveOtherNames()
    {
        var data = TrainerData.Keyed(_ml, 60);
        var renamed = _ml.Transforms.CopyColumns("X", "Features").Append(_ml.Transforms.CopyColumns("Y", "Label")).Append(_ml.Transforms.DropColumns("Features", "Label")).Fit(data).Transform(data);
        using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => (o.FeatureColumnName, o.LabelColumnName) = ("X", "Y"))).Fit(renamed);
        CollectionAssert.AreEqual(Fit(null, 60), TrainerData.Onnx(model));
        Assert.IsNotNull(_ml.MulticlassClassification.Evaluate(model.Transform(renamed), "Y"));
    }

    [TestMethod]
    public void AccumulatedBatchesAreOneLargeBatch()
    {
        // 64 rows as 2 x 8 and as 16: the same gradient, in FP32 up to the order of a sum.
        static void Common(MixedPrecisionTrainer.Options o) => (o.Precision, o.Shuffle, o.Epochs) = (Precision.Single, false, 2);
        var data = TrainerData.Keyed(_ml, 64);
        using var large = new MixedPrecisionTrainer(_ml, TrainerData.Options(Common)).Fit(data);
        using var small = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => { Common(o); (o.BatchSize, o.GradientAccumulationSteps) = (8, 2); })).Fit(data);
        Assert.AreEqual(large.Report.AppliedUpdates, small.Report.AppliedUpdates);
        double[] expected = [.. StockScoringChainTests.Scores(large.Transform(data)).Select(s => (double)s)];
        Tolerance.AssertClose(expected, StockScoringChainTests.Scores(small.Transform(data)), Precision.Single, 0, 8 * 64, "scores");
    }

    [TestMethod]
    public void AGroupThatIsShortIsOneLargeBatchToo()
    {
        // 32 rows as 4 x 8 of a group that would have 100, and as 32.
        static void Common(MixedPrecisionTrainer.Options o) => (o.Precision, o.Shuffle, o.Epochs) = (Precision.Single, false, 1);
        var data = TrainerData.Keyed(_ml, 32);
        using var large = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => { Common(o); o.BatchSize = 32; })).Fit(data);
        using var small = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => { Common(o); (o.BatchSize, o.GradientAccumulationSteps) = (8, 100); })).Fit(data);
        Assert.AreEqual((1, 1), (large.Report.AppliedUpdates, small.Report.AppliedUpdates));
        double[] expected = [.. StockScoringChainTests.Scores(large.Transform(data)).Select(s => (double)s)];
        Tolerance.AssertClose(expected, StockScoringChainTests.Scores(small.Transform(data)), Precision.Single, 0, 4 * 32, "scores");
    }

    [TestMethod]
    [DataRow(1, 4, 3, 12)]  // 4 batches of 16 in 64 rows, 3 epochs
    [DataRow(2, 4, 3, 6)]
    [DataRow(3, 4, 3, 4)]   // groups run across the ends of epochs
    [DataRow(5, 4, 3, 3)]   // the last group is short
    [DataRow(100, 4, 3, 1)]
    public void AccumulationSaysHowManyUpdatesThereAre(int steps, int batches, int epochs, int updates)
    {
        using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => (o.GradientAccumulationSteps, o.Epochs, o.LossScale) = (steps, epochs, LossScale.Static(8)))).Fit(TrainerData.Keyed(_ml, batches * 16));
        Assert.AreEqual(updates, model.Report.AppliedUpdates);
    }

    [TestMethod]
    public void TheLossScaleIsThatOfTheOptions()
    {
        Assert.AreEqual(256f, LastScale(o => o.LossScale = LossScale.Static(256f)));
        Assert.AreEqual(64f, LastScale(o => o.LossScale = LossScale.Dynamic(16f, growthInterval: 10)), "25 clean steps, two doublings");
        Assert.AreEqual(1f, LastScale(o => o.Precision = Precision.Single));

        float LastScale(Action<MixedPrecisionTrainer.Options> change)
        {
            using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => { o.Epochs = 1; change(o); })).Fit(TrainerData.Keyed(_ml, 400));
            return model.Report.Epochs[^1].LossScale;
        }
    }

    [TestMethod]
    public void ABatchLargerThanTheDataIsOneMaskedBatch()
    {
        byte[] Model(int batch)
        {
            using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => (o.BatchSize, o.Shuffle, o.Precision) = (batch, false, Precision.Single))).Fit(TrainerData.Keyed(_ml, 30));
            Assert.AreEqual(4, model.Report.AppliedUpdates);
            return [.. StockScoringChainTests.Scores(model.Transform(TrainerData.Keyed(_ml, 30))).SelectMany(BitConverter.GetBytes)];
        }

        float[] Floats(byte[] bytes) => System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(bytes).ToArray();
        Tolerance.AssertClose([.. Floats(Model(30)).Select(s => (double)s)], Floats(Model(100)), Precision.Single, 0, 4 * 30, "scores");
    }

    [TestMethod]
    public void ANullSeedIsTheContexts()
    {
        byte[] Model(int? contextSeed, int? seed)
        {
            var ml = new MLContext(contextSeed);
            using var model = new MixedPrecisionTrainer(ml, TrainerData.Options(o => o.Seed = seed)).Fit(TrainerData.Keyed(ml, 60));
            return TrainerData.Onnx(model);
        }

        CollectionAssert.AreEqual(Model(5, null), Model(5, null));
        CollectionAssert.AreEqual(Model(5, null), Model(null, 5));
        CollectionAssert.AreNotEqual(Model(5, null), Model(6, null));
        CollectionAssert.AreNotEqual(Model(null, null), Model(null, null));
    }

    [TestMethod]
    public void TheOptionsAreCopied()
    {
        var options = TrainerData.Options();
        var trainer = new MixedPrecisionTrainer(_ml, options);
        options.Epochs = 99;
        using var model = trainer.Fit(TrainerData.Keyed(_ml, 60));
        Assert.HasCount(4, model.Report.Epochs);
    }

    [TestMethod]
    public void ADeviceThatIsNotThereIsAnError()
    {
        var trainer = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => o.Device = "cuda:97"));
        StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => trainer.Fit(TrainerData.Keyed(_ml, 60))).Message, "cuda:97");

        var ml = new MLContext { GpuDeviceId = 97 };
        StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => new MixedPrecisionTrainer(ml, TrainerData.Options()).Fit(TrainerData.Keyed(ml, 60))).Message, "GpuDeviceId = 97");

        ml.FallbackToCpu = true;
        using var model = new MixedPrecisionTrainer(ml, TrainerData.Options()).Fit(TrainerData.Keyed(ml, 60));
        StringAssert.Contains(model.Report.Device, "CPU");
        StringAssert.Contains(model.Report.DeviceReason, "97");
    }

    [TestMethod]
    public void ThreadsAreThoseOfTheOptions()
    {
        StringAssert.StartsWith(Device(1), "CPU, 1 thread,");
        StringAssert.StartsWith(Device(0), $"CPU, {Environment.ProcessorCount} thread");
        if (Environment.ProcessorCount > 1) StringAssert.StartsWith(Device(2), "CPU, 2 threads,");

        string Device(int threads)
        {
            using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => (o.Threads, o.Epochs) = (threads, 1))).Fit(TrainerData.Keyed(_ml, 32));
            return model.Report.Device;
        }
    }

    [TestMethod]
    public void ProgressTellsEachEpoch()
    {
        var told = new Recorder();
        using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => (o.Progress, o.ValidationFraction) = (told, 0.25f))).Fit(TrainerData.Keyed(_ml, 200));
        var ends = told.All.Where(p => p.IsEndOfEpoch).ToArray();
        CollectionAssert.AreEqual(new[] { 1, 2, 3, 4 }, ends.Select(p => p.Epoch).ToArray());
        foreach (var (i, p) in ends.Index())
        {
            var epoch = model.Report.Epochs[i];
            Assert.AreEqual((4, epoch.Loss, epoch.Metric, epoch.ValidationLoss, epoch.ValidationMetric, epoch.LossScale), (p.Epochs, p.Loss, p.Metric, p.ValidationLoss, p.ValidationMetric, p.LossScale));
            Assert.AreEqual(p.Batches, p.Batch);
            Assert.AreEqual((model.Report.Rows + 15) / 16, p.Batches);
            Assert.IsGreaterThan(0, p.SamplesPerSecond);
        }
        Assert.AreEqual(TimeSpan.Zero, ends[^1].Remaining);
        Assert.AreEqual(0.1f, (float)ends[^1].LearningRate);
        Assert.AreEqual(model.Report.AppliedUpdates, ends[^1].AppliedUpdates);
        Assert.AreEqual(200, model.Report.Rows + model.Report.ValidationRows);
        Assert.IsLessThanOrEqualTo(ends.Length + 1 + (int)(model.Report.Duration.TotalSeconds / 0.1), told.All.Count, "About ten a second, and the ends of epochs.");
    }

    private byte[] Fit(Action<MixedPrecisionTrainer.Options>? change, int rows = 100)
    {
        using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(change)).Fit(TrainerData.Keyed(_ml, rows));
        return TrainerData.Onnx(model);
    }

    private static object[] Case(string field, Action<MixedPrecisionTrainer.Options> change) => [field, change];

    private static object[] Change(string field, Action<MixedPrecisionTrainer.Options> change) => [field, change];

    private sealed class Recorder : IProgress<TrainingProgress>
    {
        public List<TrainingProgress> All { get; } = [];

        public void Report(TrainingProgress value) => All.Add(value);
    }
}
