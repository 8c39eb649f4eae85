using Microsoft.ML.Calibrators;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The contract with ML.NET's internals: every constructor that is reached is called here, and what it made is looked at.</summary>
[TestClass]
public sealed class StockConstructorsTests
{
    private readonly MLContext _ml = new(seed: 1);

    [TestMethod]
    public void OnnxTransformerLoadsAFile()
    {
        using var file = new TemporaryFile(ScoringData.FirstLogit().WriteTo, ".onnx");
        using var transformer = StockConstructors.Onnx(_ml, ["output"], ["features"], file.Name, null, false, null, 100, null, null);
        IDataView data = new ScoringData(_ml, 3).View;
        data = _ml.Transforms.CopyColumns("features", "Pixels").Fit(data).Transform(data);
        Assert.AreEqual(3, transformer.Transform(data).GetColumn<float[]>("output").Count());
    }

    [TestMethod]
    public void MaximumEntropyTakesBiasesThenRowsOfWeights()
    {
        var weights = new VBuffer<float>(2 + 2 * 3, [0.5f, 0.25f, 1, 2, 3, 4, 5, 6]);
        MaximumEntropyModelParameters model = StockConstructors.MaximumEntropy(_ml, in weights, 2, 3, null, null);
        VBuffer<float>[]? rows = null;
        model.GetWeights(ref rows, out int classes);
        Assert.AreEqual(2, classes);
        Assert.AreEqual("0.5 0.25", string.Join(' ', model.GetBiases()));
        Assert.AreEqual("4 5 6", string.Join(' ', rows[1].DenseValues()));
    }

    [TestMethod]
    public void LinearModelsKeepWeightAndBias()
    {
        var weights = new VBuffer<float>(2, [3, 4]);
        LinearBinaryModelParameters binary = StockConstructors.LinearBinary(_ml, in weights, 0.5f, null);
        LinearRegressionModelParameters regression = StockConstructors.LinearRegression(_ml, in weights, 0.25f);
        Assert.AreEqual((0.5f, 0.25f), (binary.Bias, regression.Bias));
        Assert.AreEqual("3 4", string.Join(' ', binary.Weights));
        Assert.AreEqual("3 4", string.Join(' ', regression.Weights));
    }

    [TestMethod]
    public void PlattIsTheLogisticFunctionOfSlopeAndOffset()
    {
        PlattCalibrator platt = StockConstructors.Platt(_ml, -1, 0.5);
        Assert.AreEqual((-1.0, 0.5), (platt.Slope, platt.Offset));
    }

    [TestMethod]
    public void CalibratedIsTheTypeOfMlNetsLogisticRegressions()
    {
        IDataView data = new ScoringData(_ml, 60).View;
        var native = _ml.BinaryClassification.Trainers.SdcaLogisticRegression("IsFirst", "Pixels", maximumNumberOfIterations: 2).Fit(data).Model;
        LinearBinaryModelParameters linear = StockConstructors.LinearBinary(_ml, new VBuffer<float>(1, [1]), 0, null);
        CalibratedModelParametersBase<LinearBinaryModelParameters, PlattCalibrator> model = StockConstructors.Calibrated(_ml, linear, StockConstructors.Platt(_ml, -1, 0));
        Assert.AreEqual(native.GetType(), model.GetType());
        Assert.AreSame(linear, model.SubModel);
    }

    [TestMethod]
    public void PredictionTransformersKnowTheirFeatureColumn()
    {
        DataViewSchema.Builder builder = new();
        builder.AddColumn("One", new VectorDataViewType(NumberDataViewType.Single, 1));
        builder.AddColumn("Two", new VectorDataViewType(NumberDataViewType.Single, 2));
        builder.AddColumn("Label", new KeyDataViewType(typeof(uint), 2));
        DataViewSchema schema = builder.ToSchema();

        var one = new VBuffer<float>(1, [1]);
        var two = new VBuffer<float>(2 + 4, [0, 0, 1, 0, 0, 1]);
        var calibrated = StockConstructors.Calibrated(_ml, StockConstructors.LinearBinary(_ml, in one, 0, null), StockConstructors.Platt(_ml, -1, 0));
        Assert.AreEqual("One", StockConstructors.BinaryTransformer(_ml, calibrated, schema, "One").FeatureColumnName);
        Assert.AreEqual("One", StockConstructors.RegressionTransformer(_ml, StockConstructors.LinearRegression(_ml, in one, 0), schema, "One").FeatureColumnName);
        var multiclass = StockConstructors.MulticlassTransformer(_ml, StockConstructors.MaximumEntropy(_ml, in two, 2, 2, null, null), schema, "Two", "Label");
        Assert.AreEqual("Two", multiclass.FeatureColumnName);
        Assert.IsInstanceOfType<KeyDataViewType>(multiclass.GetOutputSchema(schema)["PredictedLabel"].Type);
    }
}
