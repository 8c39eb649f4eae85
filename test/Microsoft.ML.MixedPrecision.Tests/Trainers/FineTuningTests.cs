namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Trainings that begin where others ended.</summary>
[TestClass]
public sealed class FineTuningTests
{
    private readonly MLContext _ml = new(seed: 1);
    private readonly List<string> _log = [];

    public FineTuningTests() => _ml.Log += (_, e) => _log.Add(e.Message);

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

    public static IEnumerable<object[]> OfFrozen =>
    [
        ["mixed", Change(o => { })],
        ["single", Change(o => o.Precision = Precision.Single)],
        ["a validation, a group of batches, in order", Change(o => (o.ValidationFraction, o.EarlyStopping, o.GradientAccumulationSteps, o.Shuffle) = (0.3f, new EarlyStopping(Patience: 2), 3, false))],
        ["rows with weights", Change(o => o.ExampleWeightColumnName = nameof(TrainerData.Row.Weight))],
        ["values of a vector", Change(o => o.LabelColumnName = nameof(TrainerData.Row.Values))],
        ["features that do not fit in memory, of which the values do", Change(o => (o.Network, o.CacheBytes) = (Learned.Of(Network.Vector(TrainerData.Features).Linear(2).Tanh()).Freeze().Linear(8).Relu(), 200 * 12))],
        ["an image", Change(o => o.Network = Learned.Of(Network.Image(2, 2, 1).Conv2d(8, 2).BatchNorm()).Relu().Freeze().Dropout(0.2f).Conv2d(3, 1).BatchNorm().Relu().Flatten())],
        ["a GPU's kernels", Change(o => o.Device = "simulator")],
    ];

    /// <summary>Dropout behind what is frozen draws the same, and so do the initial weights of its layers.</summary>
    [TestMethod]
    [DynamicData(nameof(OfFrozen))]
    public void What_is_frozen_is_computed_once_and_no_bit_changes(string name, Action<MixedPrecisionTrainer.Options> change)
    {
        Action<MixedPrecisionTrainer.Options> all = o =>
        {
            o.Network = Learned.Of(TrainerData.Network.BatchNorm().Linear(8)).Freeze().Dropout(0.3f).Linear(8).BatchNorm().Relu();
            change(o);
        };
        using var once = Fit(all);
        Assert.ContainsSingle(line => line.Contains("What is frozen was computed once for all rows, up to 'Freeze1' (", StringComparison.Ordinal), _log);
        using var always = Fit(o =>
        {
            all(o);
            (o.ComputesFrozenOnce, o.CacheBytes) = (false, 1L << 30);
        });
        Assert.ContainsSingle(line => line.Contains("computed once", StringComparison.Ordinal), _log);
        CollectionAssert.AreEqual(TrainerData.Onnx(always, OnnxPrecision.Single), TrainerData.Onnx(once, OnnxPrecision.Single), name);
        CollectionAssert.AreEqual(always.Report.Epochs.Select(e => e with { Duration = default }).ToArray(), once.Report.Epochs.Select(e => e with { Duration = default }).ToArray(), name);
        Assert.IsLessThan(always.Report.PlanBytes, once.Report.PlanBytes);
    }

    [TestMethod]
    public void What_is_not_frozen_up_to_one_point_or_moves_its_images_is_computed_in_each_epoch()
    {
        var learned = Learned.Of(TrainerData.Network);
        var image = Network.Image(2, 2, 1).Augment(1);
        foreach (var network in (Network[])
            [
                learned, // nothing is frozen
                Network.Concat(learned.Freeze(), learned.Linear(2)), // a branch beside it
                TrainerData.Network.Freeze(), // values that the seed draws
                Learned.Of(image.Conv2d(2, 2)).Flatten().Freeze(),
                Network.Vector(TrainerData.Features).Freeze().Linear(8).Relu(), // nothing to compute
            ])
        {
            using var model = Fit(o => (o.Network, o.Epochs) = (network, 1));
            Assert.DoesNotContain(line => line.Contains("computed once", StringComparison.Ordinal), _log);
        }
        using var large = Fit(o => (o.Network, o.Epochs, o.CacheBytes) = (learned.Freeze(), 1, 1000)); // more values than memory may hold
        Assert.DoesNotContain(line => line.Contains("computed once", StringComparison.Ordinal), _log);
    }

    private static Action<MixedPrecisionTrainer.Options> Change(Action<MixedPrecisionTrainer.Options> change) => change;

    private MixedPrecisionTransformer Fit(Action<MixedPrecisionTrainer.Options> change) => new MixedPrecisionTrainer(_ml, TrainerData.Options(change)).Fit(TrainerData.Keyed(_ml, 200));
}
