using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>How a training ends before its last epoch, and which model comes out.</summary>
[TestClass]
public sealed class StoppingTests
{
    private readonly MLContext _ml = new(seed: 1);

    [TestMethod]
    public void EarlyStoppingRestoresTheBestEpoch()
    {
        var validation = Noise(100, seed: 9);
        using var best = Fit(new EarlyStopping(Patience: 3), validation);
        using var last = Fit(new EarlyStopping(Patience: 3, RestoreBest: false), validation);
        double[] losses = [.. best.Report.Epochs.Select(e => e.ValidationLoss!.Value)];
        int expected = Array.IndexOf(losses, losses.Min()) + 1;
        Assert.AreEqual(StopReason.EarlyStopping, best.Report.StopReason);
        Assert.AreEqual(expected, best.Report.ModelEpoch);
        Assert.HasCount(expected + 3, best.Report.Epochs);
        Assert.HasCount(expected + 3, last.Report.Epochs);
        Assert.AreEqual(expected + 3, last.Report.ModelEpoch);
        // A hundred rows' logarithms of rounded probabilities.
        double bound = Tolerance.Bound(Precision.Single, 10, 0, 100);
        Assert.AreEqual(losses[expected - 1], LogLoss(best), bound);
        Assert.AreEqual(losses[^1], LogLoss(last), bound);

        double LogLoss(MixedPrecisionTransformer model) => _ml.MulticlassClassification.Evaluate(model.Transform(validation)).LogLoss;

        // Labels at random: what is learned of them is wrong elsewhere.
        MixedPrecisionTransformer Fit(EarlyStopping stopping, IDataView set) => new MixedPrecisionTrainer(_ml, TrainerData.Options(o =>
            (o.Epochs, o.ValidationSet, o.EarlyStopping, o.Precision) = (60, set, stopping, Precision.Single))).Fit(Noise(60, seed: 8));
    }

    [TestMethod]
    public void WithoutImprovementOfTheMetricItStopsToo()
    {
        using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o =>
            (o.Epochs, o.ValidationFraction, o.EarlyStopping) = (50, 0.25f, new EarlyStopping(EarlyStoppingMetric.Accuracy, Patience: 2, MinimumChange: 0.5f)))).Fit(TrainerData.Keyed(_ml, 200));
        Assert.AreEqual(StopReason.EarlyStopping, model.Report.StopReason);
        Assert.IsLessThan(10, model.Report.Epochs.Count); // 0.5 more cannot happen often
        double[] accuracies = [.. model.Report.Epochs.Select(e => e.ValidationMetric!.Value)];
        Assert.AreEqual(Array.IndexOf(accuracies, accuracies.Max()) + 1, model.Report.ModelEpoch);
    }

    [TestMethod]
    [DataRow(false, 0f, "5 4 4 3 6 7", 4, 6)]
    [DataRow(false, 0f, "5 4 6 6", 2, 4)]
    [DataRow(false, 1.5f, "5 4 3.4 2.9 2.8", 5, 5)] // 3.4 is 1.6 better than 5; 2.8 is the best and no improvement
    [DataRow(false, 1.5f, "5 4 4", 2, 3)]
    [DataRow(true, 0f, "0.1 0.5 0.4 0.3", 2, 4)]
    [DataRow(false, 0f, "NaN NaN", 0, 2)]
    [DataRow(false, 0f, "NaN 9 10 8 9", 4, 0)]      // any number is better than none
    public void TheRuleCountsEpochsWithoutImprovement(bool more, float change, string values, int best, int stop)
    {
        var rule = new StoppingRule(new EarlyStopping(more ? EarlyStoppingMetric.Accuracy : EarlyStoppingMetric.Loss, Patience: 2, MinimumChange: change));
        int stopped = 0;
        foreach (var (i, text) in values.Split(' ').Index())
        {
            double value = double.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
            rule.Add(i + 1, more ? 1 : value, more ? value : 1);
            if (rule.Stop && stopped == 0) stopped = i + 1;
        }
        Assert.AreEqual((best, stop), (rule.BestEpoch, stopped));
    }

    [TestMethod]
    public void CancelledItReturnsTheBestModelSoFarAndSaysSo()
    {
        var log = new List<string>();
        _ml.Log += (_, e) => log.Add(e.Message);
        using var source = new CancellationTokenSource();
        var told = new Cancel(source, p => p.Epoch == 12 && p.IsEndOfEpoch);
        using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o =>
            (o.Epochs, o.ValidationSet, o.Progress, o.CancellationToken) = (60, Noise(100, seed: 9), told, source.Token))).Fit(Noise(60, seed: 8));
        double[] losses = [.. model.Report.Epochs.Select(e => e.ValidationLoss!.Value)];
        Assert.AreEqual(StopReason.Cancelled, model.Report.StopReason);
        Assert.HasCount(12, losses);
        Assert.AreEqual(Array.IndexOf(losses, losses.Min()) + 1, model.Report.ModelEpoch);
        Assert.AreNotEqual(12, model.Report.ModelEpoch);
        Assert.IsTrue(log.Any(line => line.Contains("cancelled in epoch 13 of 60", StringComparison.Ordinal) && line.Contains("best of the validation", StringComparison.Ordinal)), string.Join('\n', log));
    }

    [TestMethod]
    public void CancelledWithoutValidationItReturnsTheLastModel()
    {
        using var source = new CancellationTokenSource();
        using var stopped = Fit(10, source, new Cancel(source, p => p.Epoch == 3 && p.IsEndOfEpoch));
        using var whole = Fit(3, null, null);
        Assert.AreEqual(StopReason.Cancelled, stopped.Report.StopReason);
        Assert.AreEqual(3, stopped.Report.ModelEpoch);
        CollectionAssert.AreEqual(TrainerData.Onnx(whole), TrainerData.Onnx(stopped));

        MixedPrecisionTransformer Fit(int epochs, CancellationTokenSource? cancel, IProgress<TrainingProgress>? progress) => new MixedPrecisionTrainer(_ml, TrainerData.Options(o =>
            (o.Epochs, o.Progress, o.CancellationToken) = (epochs, progress, cancel?.Token ?? default))).Fit(TrainerData.Keyed(_ml, 100));
    }

    [TestMethod]
    public void CancelledBeforeTheFirstStepItThrows()
    {
        var trainer = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => o.CancellationToken = new CancellationToken(canceled: true)));
        Assert.Throws<OperationCanceledException>(() => trainer.Fit(TrainerData.Keyed(_ml, 40)));
    }

    [TestMethod]
    [DataRow(1)] // in the first pass, which counts the rows
    [DataRow(2)] // in the first epoch
    public void ASourceThatBlocksDoesNotKeepACancelledFit(int blockedPass)
    {
        using var release = new ManualResetEventSlim();
        using var blocked = new ManualResetEventSlim();
        int pass = 0;
        IEnumerable<TrainerData.Row> Rows()
        {
            int mine = ++pass;
            foreach (var (i, row) in TrainerData.Rows(100).Index())
            {
                if (mine == blockedPass && i == 8)
                {
                    blocked.Set();
                    release.Wait();
                }
                yield return row;
            }
        }

        var fitted = _ml.Transforms.Conversion.MapValueToKey("Label", "Name").Fit(TrainerData.View(_ml, 100));
        var data = fitted.Transform(_ml.Data.LoadFromEnumerable(new Repeating<TrainerData.Row>(Rows)));
        using var source = new CancellationTokenSource();
        var fit = Task.Run(() => new MixedPrecisionTrainer(_ml, TrainerData.Options(o => (o.CacheBytes, o.CancellationToken) = (400, source.Token))).Fit(data));
        Assert.IsTrue(blocked.Wait(TimeSpan.FromSeconds(30)));
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => fit.WaitAsync(TimeSpan.FromSeconds(30)).GetAwaiter().GetResult());
        release.Set();
    }

    /// <summary>Labels that have nothing to do with the features.</summary>
    private IDataView Noise(int count, int seed)
    {
        var random = new Random(seed);
        return TrainerData.Keyed(_ml, TrainerData.Rows(count, seed).Select(row => { row.Name = ((string[])["ash", "birch", "cedar"])[random.Next(3)]; return row; }).ToArray());
    }

    private sealed class Cancel(CancellationTokenSource source, Func<TrainingProgress, bool> when) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value)
        {
            if (when(value)) source.Cancel();
        }
    }
}

/// <summary>A source that makes its rows anew for each reader.</summary>
internal sealed class Repeating<T>(Func<IEnumerable<T>> rows) : IEnumerable<T>
{
    public IEnumerator<T> GetEnumerator() => rows().GetEnumerator();

    System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
}
