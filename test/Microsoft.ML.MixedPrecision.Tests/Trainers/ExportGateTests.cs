using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What is not handed out as a model, and what its file says of the labels.</summary>
[TestClass]
public sealed class ExportGateTests
{
    private const int Rows = 4, Features = 3, Classes = 2;

    private readonly MLContext _ml = new(seed: 1);

    [TestMethod]
    [DataRow(Precision.Mixed, OnnxPrecision.Half)]
    [DataRow(Precision.Mixed, OnnxPrecision.Single)]
    [DataRow(Precision.Single, OnnxPrecision.Half)]
    [DataRow(Precision.Single, OnnxPrecision.Single)]
    public void AModelThatScoresAsItWasTrainedComesOut(Precision precision, OnnxPrecision export)
    {
        var model = Gate(precision, weight: 0.25f, feature: 1f).Model(export);
        Assert.AreEqual((Features, Classes), (model.Features, model.Columns));
        CollectionAssert.AreEqual(new[] { "no", "yes" }, model.LabelNames.ToArray());
    }

    [TestMethod]
    public void ScoresThatAreNotFiniteAreRefused()
    {
        // 3 x 60000 x 60000 is infinite as a half, and so is every score.
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Gate(Precision.Mixed, weight: 60000f, feature: 60000f).Model(OnnxPrecision.Half));
        StringAssert.Contains(e.Message, "expected finite scores");
    }

    [TestMethod]
    public void WeightsThatAreNoHalvesAreRefused()
    {
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Gate(Precision.Single, weight: 1e6f, feature: 1f).Model(OnnxPrecision.Half));
        StringAssert.Contains(e.Message, "Linear1");
        StringAssert.Contains(e.Message, "OnnxPrecision.Single");
    }

    [TestMethod]
    public void LabelNamesAreTheKeysValues()
    {
        var data = TrainerData.View(_ml, 40);
        CollectionAssert.AreEqual(new[] { "0", "1", "2" }, Names(nameof(TrainerData.Row.Code)));
        CollectionAssert.AreEqual(new[] { "False", "True" }, Names(nameof(TrainerData.Row.IsBirch)));
        CollectionAssert.AreEqual(new[] { "ash", "birch", "cedar" }, Names(nameof(TrainerData.Row.Name)));
        Assert.IsEmpty(LabelNames.Of(data.Schema["Value"]));

        string[] Names(string column)
        {
            var keyed = _ml.Transforms.Conversion.MapValueToKey("Key", column, keyOrdinality: Microsoft.ML.Transforms.ValueToKeyMappingEstimator.KeyOrdinality.ByValue).Fit(data).Transform(data);
            return [.. LabelNames.Of(keyed.Schema["Key"])];
        }
    }

    private static ExportGate Gate(Precision precision, float weight, float feature)
    {
        var options = new PlanOptions(Rows, precision, new SoftmaxCrossEntropy(), new Sgd());
        using var session = new TrainingSession(PlanBuilder.Build(Network.Vector(Features).Linear(Classes), options), new CpuBackend(precision));
        var values = new float[Features * Classes];
        Array.Fill(values, weight);
        session.SetParameter(session.Plan.Parameters.Parameters[0], values);
        var sample = new Batch(Rows, Features, 0) { RowCount = Rows };
        Array.Fill(sample.Features, feature);
        Array.Fill(sample.Weights, 1f);
        return new ExportGate(TrainedNetwork.From(session), options, new DeviceChoice(p => new CpuBackend(p), ""), sample, ["no", "yes"]);
    }
}
