namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The trainer as applications use it, on the devices that the option names.</summary>
[TestClass]
public sealed class GpuTrainingTests
{
    /// <summary>What <see cref="MixedPrecisionTrainer.Options.Device"/> may name; an absent GPU is a row that is skipped, with its reason.</summary>
    public static IEnumerable<TestDataRow<string>> Devices =>
    [
        new("simulator"),
        .. BackendMatrix.Gpu.Where(row => row.Value is { Device: "cuda" or "opencl", Precision: Precision.Mixed })
            .Select(row => new TestDataRow<string>($"{row.Value.Device}:0") { IgnoreMessage = row.IgnoreMessage }),
    ];

    [TestMethod, DynamicData(nameof(Devices))]
    public void A_fit_on_a_GPU_scores_as_one_on_the_CPU(string device)
    {
        var ml = new MLContext(seed: 1);
        var data = TrainerData.Keyed(ml, 90);
        var expected = new MixedPrecisionTrainer(ml, TrainerData.Options(o => (o.Device, o.Epochs) = ("cpu", 2))).Fit(data);
        var model = new MixedPrecisionTrainer(ml, TrainerData.Options(o => (o.Device, o.Epochs) = (device, 2))).Fit(data);
        Assert.Contains($"Device = \"{device}\"", model.Report.DeviceReason);
        Assert.DoesNotContain("CPU,", model.Report.Device);
        Assert.AreEqual(expected.Report.AppliedUpdates, model.Report.AppliedUpdates);
        double[] Accuracies(MixedPrecisionTransformer m)
        {
            var metrics = ml.MulticlassClassification.Evaluate(m.Transform(data));
            return [metrics.MicroAccuracy, metrics.LogLoss];
        }
        // A prediction or two may tip over; the losses are close.
        var (e, a) = (Accuracies(expected), Accuracies(model));
        Assert.AreEqual(e[0], a[0], 2.0 / 90);
        Tolerance.AssertClose([e[1]], [(float)a[1]], Precision.Mixed, roundings: 4 * model.Report.AppliedUpdates, operations: 90, "log loss");
    }
}
