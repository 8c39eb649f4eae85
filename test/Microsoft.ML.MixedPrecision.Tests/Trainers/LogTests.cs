using Microsoft.ML.Runtime;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What a training says in mlContext.Log, and what it reaches of ML.NET to say it.</summary>
[TestClass]
public sealed class LogTests
{
    [TestMethod]
    public void TheLogTellsTheTraining()
    {
        var ml = new MLContext(seed: 1);
        var log = new List<LoggingEventArgs>();
        ml.Log += (_, e) => { if (e.Source.Contains("MixedPrecision", StringComparison.Ordinal)) log.Add(e); };
        using var model = ml.MulticlassClassification.Trainers.MixedPrecision(TrainerData.Options(o => (o.ValidationFraction, o.LossScale) = (0.25f, LossScale.Dynamic(16f, growthInterval: 20)))).Fit(TrainerData.Keyed(ml, 200));
        string text = string.Join('\n', log.Select(e => e.Message));
        StringAssert.Contains(text, "Training on the CPU");
        StringAssert.Contains(text, model.Report.Device);
        StringAssert.Contains(text, FormattableString.Invariant($"{model.Report.PlanBytes:N0} bytes in mixed precision, {model.Report.PlanBytesInSingle:N0} in single"));
        StringAssert.Contains(text, $"{model.Report.Rows} rows to train on, {model.Report.ValidationRows} to validate on");
        StringAssert.Contains(text, "Epoch 4 of 4: loss");
        StringAssert.Contains(text, "validation loss");
        StringAssert.Contains(text, "Loss scale 16 -> ");
        StringAssert.Contains(text, FormattableString.Invariant($"Done: 4 epochs, {model.Report.AppliedUpdates} updates applied, 0 skipped"));
        Assert.IsTrue(log.All(e => e.Kind is ChannelMessageKind.Info or ChannelMessageKind.Trace));
    }

    [TestMethod]
    public void SkippedUpdatesAreTold()
    {
        var ml = new MLContext(seed: 1);
        var log = new List<string>();
        ml.Log += (_, e) => log.Add(e.Message);
        // 2^24 is beyond what a half gradient can hold: the scale falls until it fits.
        using var model = new MixedPrecisionTrainer(ml, TrainerData.Options(o => (o.LossScale, o.Epochs) = (LossScale.Dynamic(16777216f), 6))).Fit(TrainerData.Keyed(ml, 100));
        Assert.IsGreaterThan(0, model.Report.SkippedUpdates);
        Assert.AreEqual(6 * 7, model.Report.AppliedUpdates + model.Report.SkippedUpdates);
        Assert.AreEqual(model.Report.SkippedUpdates, model.Report.Epochs.Sum(e => e.SkippedUpdates));
        Assert.AreEqual(16777216f / MathF.Pow(2, model.Report.SkippedUpdates), model.Report.Epochs[^1].LossScale);
        Assert.IsTrue(log.Any(line => line.Contains("Loss scale 16777216 -> ", StringComparison.Ordinal) && line.Contains("updates skipped", StringComparison.Ordinal)), string.Join('\n', log));
    }

    [TestMethod]
    public void TheReportHasThePlan()
    {
        var ml = new MLContext(seed: 1);
        using var mixed = new MixedPrecisionTrainer(ml, TrainerData.Options()).Fit(TrainerData.Keyed(ml, 100));
        using var single = new MixedPrecisionTrainer(ml, TrainerData.Options(o => o.Precision = Precision.Single)).Fit(TrainerData.Keyed(ml, 100));
        StringAssert.Contains(mixed.Report.Plan, "mixed precision");
        StringAssert.Contains(single.Report.Plan, "single precision");
        Assert.AreEqual(single.Report.PlanBytes, mixed.Report.PlanBytesInSingle);
        Assert.AreEqual(single.Report.PlanBytes, single.Report.PlanBytesInSingle);
        Assert.IsLessThan(single.Report.PlanBytes, mixed.Report.PlanBytes);
        Assert.AreEqual(7, mixed.Report.Seed);
        Assert.IsGreaterThan(TimeSpan.Zero, mixed.Report.Duration);
    }

    /// <summary>An ML.NET that has changed what it keeps to itself fails here, and not at a user's.</summary>
    [TestMethod]
    public void WhatIsReachedOfMlNetIsThere()
    {
        var ml = new MLContext(seed: 42) { GpuDeviceId = 3, FallbackToCpu = true };
        TrainCatalogBase.CatalogInstantiatorBase[] all = [ml.MulticlassClassification.Trainers, ml.BinaryClassification.Trainers, ml.Regression.Trainers];
        foreach (var trainers in all)
        {
            var environment = Catalogs.EnvironmentOf(trainers);
            Assert.AreEqual((42, 3, true), (Catalogs.Seed(environment), Catalogs.GpuDeviceId(environment), Catalogs.FallbackToCpu(environment)));
            var host = environment.Register("Child");
            Assert.AreEqual((42, 3, true), (Catalogs.Seed(host), Catalogs.GpuDeviceId(host), Catalogs.FallbackToCpu(host)));
        }
        Assert.AreEqual((42, 3, true), (Catalogs.Seed(ml), Catalogs.GpuDeviceId(ml), Catalogs.FallbackToCpu(ml)));
        Assert.IsNull(Catalogs.Seed(new MLContext()));
    }
}
