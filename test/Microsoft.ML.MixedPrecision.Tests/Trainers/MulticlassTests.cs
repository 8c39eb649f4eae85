using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What an ML.NET application does with the trainer, for classes.</summary>
[TestClass]
public sealed class MulticlassTests
{
    private readonly MLContext _ml = new(seed: 1);

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void LearnsTheClasses(Precision precision)
    {
        using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => (o.Precision, o.Epochs) = (precision, 10))).Fit(TrainerData.Keyed(_ml, 400));
        var metrics = _ml.MulticlassClassification.Evaluate(model.Transform(TrainerData.Keyed(_ml, 200, seed: 4)));
        Assert.IsGreaterThan(0.92, metrics.MicroAccuracy);
        Assert.HasCount(10, model.Report.Epochs);
        Assert.IsLessThan(model.Report.Epochs[0].Loss, model.Report.Epochs[^1].Loss);
        Assert.AreEqual(StopReason.Completed, model.Report.StopReason);
        Assert.AreEqual(10 * 400 / 16, model.Report.AppliedUpdates + model.Report.SkippedUpdates);
    }
}
