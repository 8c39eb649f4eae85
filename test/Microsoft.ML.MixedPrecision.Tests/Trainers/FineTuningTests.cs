namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Trainings that begin where others ended.</summary>
[TestClass]
public sealed class FineTuningTests
{
    private readonly MLContext _ml = new(seed: 1);

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void A_trained_network_goes_on_from_its_values(Precision precision)
    {
        using var first = Fit(o => (o.Precision, o.Network) = (precision, TrainerData.Network.BatchNorm().Linear(8).Relu()));
        // So small a step changes no value: the model is the first one again. Its running statistics are those of the batches since.
        using var second = Fit(o => (o.Precision, o.Network, o.Optimizer) = (precision, first.Network, new Sgd(1e-30f)));
        foreach (var (a, b) in first.Network.Node.Sorted().Zip(second.Network.Node.Sorted()))
            foreach (var (x, y) in a.Start?.Parameters.Zip(b.Start!.Parameters) ?? []) CollectionAssert.AreEqual(x, y, a.Name);
        // From scratch the loss of the first epoch is larger.
        using var third = Fit(o => (o.Precision, o.Network) = (precision, first.Network));
        Assert.IsLessThan(0.8 * first.Report.Epochs[0].Loss, third.Report.Epochs[0].Loss);
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void A_frozen_one_keeps_its_values_and_learns_another_task(Precision precision)
    {
        using var first = Fit(o => (o.Precision, o.Network, o.Epochs) = (precision, TrainerData.Network.BatchNorm(), 10));
        var body = first.Network.UpTo("BatchNorm1");
        using var second = Fit(o => (o.Precision, o.Network, o.Epochs, o.LabelColumnName) = (precision, body.Freeze().Linear(8).Relu(), 10, nameof(TrainerData.Row.IsBirch)));
        var learned = second.Network;
        foreach (var (a, b) in body.Node.Sorted().Zip(learned.UpTo("BatchNorm1").Node.Sorted()))
        {
            foreach (var (x, y) in a.Start?.Parameters.Concat(a.Start.Buffers).Zip(b.Start!.Parameters.Concat(b.Start.Buffers)) ?? []) CollectionAssert.AreEqual(x, y, a.Name);
        }
        var metrics = _ml.BinaryClassification.Evaluate(second.Transform(TrainerData.Keyed(_ml, 200, seed: 9)), nameof(TrainerData.Row.IsBirch));
        Assert.IsGreaterThan(0.9, metrics.AreaUnderRocCurve);
        Assert.AreEqual(16 * 8 + 8 + 8 + 1, learned.ParameterCount);
    }

    [TestMethod]
    public void A_head_of_another_width_must_be_cut_off_first()
    {
        using var first = Fit(_ => { });
        var e = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Fit(o => (o.Network, o.LabelColumnName) = (first.Network, nameof(TrainerData.Row.IsBirch))));
        Assert.Contains("expected 1 output for label column 'IsBirch', got 3", e.Message);
    }

    private MixedPrecisionTransformer Fit(Action<MixedPrecisionTrainer.Options> change) => new MixedPrecisionTrainer(_ml, TrainerData.Options(change)).Fit(TrainerData.Keyed(_ml, 200));
}
