namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The same seed gives the same model: run after run, on any number of threads, side by side, from memory or from a stream.</summary>
[TestClass]
public sealed class RepeatTests
{
    private readonly MLContext _ml = new(seed: 1);

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void TwoRunsGiveTheSameFile(Precision precision) =>
        CollectionAssert.AreEqual(Fit(o => o.Precision = precision), Fit(o => o.Precision = precision));

    [TestMethod]
    public void OneThreadGivesTheFileOfTwo()
    {
        // Wide enough that the kernels do split their work: 256 rows x 256 outputs are 4 grains.
        static void Wide(MixedPrecisionTrainer.Options o, int threads) =>
            (o.Network, o.BatchSize, o.Epochs, o.Threads) = (Network.Vector(TrainerData.Features).Linear(256).Relu().Linear(64).Relu(), 256, 2, threads);
        CollectionAssert.AreEqual(Fit(o => Wide(o, 1), 512), Fit(o => Wide(o, 2), 512));
    }

    [TestMethod]
    public void FitsSideBySideOnOneTrainerAreEqual()
    {
        var trainer = new MixedPrecisionTrainer(_ml, TrainerData.Options());
        var data = TrainerData.Keyed(_ml, 200);
        byte[][] files = Task.WhenAll(Enumerable.Range(0, 3).Select(_ => Task.Run(() =>
        {
            using var model = trainer.Fit(data);
            return TrainerData.Onnx(model);
        }))).GetAwaiter().GetResult();
        CollectionAssert.AreEqual(files[0], files[1]);
        CollectionAssert.AreEqual(files[0], files[2]);
        CollectionAssert.AreEqual(files[0], Fit(null, 200));
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void InOrderAStreamGivesTheFileOfTheCache(Precision precision)
    {
        void InOrder(MixedPrecisionTrainer.Options o, long bytes) => (o.Precision, o.Shuffle, o.CacheBytes, o.ValidationFraction, o.EarlyStopping) = (precision, false, bytes, 0.2f, new EarlyStopping());
        CollectionAssert.AreEqual(Fit(o => InOrder(o, 1 << 20), 200), Fit(o => InOrder(o, 300), 200));
    }

    [TestMethod]
    public void DataLargerThanMemoryAreLearnedAndTheLogSaysSo()
    {
        var log = new List<string>();
        _ml.Log += (_, e) => log.Add(e.Message);
        using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => (o.CacheBytes, o.Epochs) = (50 * 16, 10))).Fit(TrainerData.Keyed(_ml, 400));
        Assert.AreEqual(400, model.Report.Rows);
        Assert.IsGreaterThan(0.92, _ml.MulticlassClassification.Evaluate(model.Transform(TrainerData.Keyed(_ml, 200, seed: 4))).MicroAccuracy);
        Assert.IsTrue(log.Any(line => line.Contains("shuffled within a window of 50 rows", StringComparison.Ordinal)), string.Join('\n', log));
    }

    [TestMethod]
    public void ABatchAllocatesNothing()
    {
        // An epoch's bytes on the thread that trains: 450 batches more, and not a byte for each. The least of several epochs, for one
        // that takes over 100 ms reports its progress, some 5 kB each time.
        long few = OfAnEpoch(50), many = OfAnEpoch(500);
        Assert.IsLessThan(450, many - few);

        long OfAnEpoch(int batches)
        {
            var marks = new Marks();
            using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => (o.Progress, o.Epochs) = (marks, 8))).Fit(TrainerData.Keyed(_ml, batches * 16));
            return marks.Bytes.Zip(marks.Bytes.Skip(1), (before, after) => after - before).Skip(1).Min();
        }
    }

    private byte[] Fit(Action<MixedPrecisionTrainer.Options>? change, int rows = 100)
    {
        using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(change)).Fit(TrainerData.Keyed(_ml, rows));
        return TrainerData.Onnx(model);
    }

    private sealed class Marks : IProgress<TrainingProgress>
    {
        public List<long> Bytes { get; } = [];

        public void Report(TrainingProgress value)
        {
            if (value.IsEndOfEpoch) Bytes.Add(GC.GetAllocatedBytesForCurrentThread());
        }
    }
}
