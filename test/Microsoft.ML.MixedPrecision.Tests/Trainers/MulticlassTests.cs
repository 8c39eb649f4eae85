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
        using var model = Trainer(o => (o.Precision, o.Epochs) = (precision, 10)).Fit(TrainerData.Keyed(_ml, 400));
        var metrics = _ml.MulticlassClassification.Evaluate(model.Transform(TrainerData.Keyed(_ml, 200, seed: 4)));
        Assert.IsGreaterThan(0.92, metrics.MicroAccuracy);
        Assert.HasCount(10, model.Report.Epochs);
        Assert.IsLessThan(model.Report.Epochs[0].Loss, model.Report.Epochs[^1].Loss);
        Assert.AreEqual(StopReason.Completed, model.Report.StopReason);
        Assert.AreEqual(10 * 400 / 16, model.Report.AppliedUpdates + model.Report.SkippedUpdates);
    }

    [TestMethod]
    public void NoPassIsLostWhereThereAreMoreThanTheLogHolds()
    {
        var validation = TrainerData.Keyed(_ml, StepControl.LogCapacity + 100, seed: 4);
        var data = TrainerData.Keyed(_ml, StepControl.LogCapacity + 50);
        using var model = Trainer(o => (o.ValidationSet, o.Epochs, o.BatchSize, o.Optimizer, o.Precision) = (validation, 1, 1, new Sgd(0.001f), Precision.Single)).Fit(data);
        Assert.AreEqual(StepControl.LogCapacity + 50, model.Report.AppliedUpdates + model.Report.SkippedUpdates);
        double accuracy = _ml.MulticlassClassification.Evaluate(model.Transform(validation)).MicroAccuracy;
        Assert.AreEqual(accuracy, model.Report.Epochs[0].ValidationMetric!.Value, Tolerance.SingleEps);
    }

    /// <summary>Four positions of one feature each, attended to; saved, and loaded by ML.NET's own parts.</summary>
    [TestMethod]
    public void LearnsFromSequences()
    {
        var network = Architectures.TransformerEncoder(Network.Sequence(TrainerData.Features, 1).Linear(16).PositionalEmbedding(), layers: 1, heads: 2, dropout: 0f).GlobalAvgPool1d();
        using var model = Trainer(o => (o.Network, o.Epochs, o.Optimizer) = (network, 40, new Adam(3e-3f))).Fit(TrainerData.Keyed(_ml, 400));
        var data = TrainerData.Keyed(_ml, 200, seed: 4);
        var scored = model.Transform(data);
        Assert.IsGreaterThan(0.92, _ml.MulticlassClassification.Evaluate(scored).MicroAccuracy);
        using var file = new MemoryStream();
        _ml.Model.Save(model, data.Schema, file);
        file.Position = 0;
        var loaded = new MLContext(seed: 2).Model.Load(file, out _);
        foreach (var (one, other) in scored.GetColumn<float[]>("Score").Zip(loaded.Transform(data).GetColumn<float[]>("Score"))) CollectionAssert.AreEqual(one, other);
    }

    [TestMethod]
    [DataRow(PixelOrder.Planar)]
    [DataRow(PixelOrder.Interleaved)]
    public void LearnsFromImagesInEitherOrder(PixelOrder order)
    {
        // The brighter of two channels: told apart by the place of a channel's values in the column alone.
        IEnumerable<Picture> Pictures(int count, int seed)
        {
            var random = new Random(seed);
            for (int i = 0; i < count; i++)
            {
                int bright = i % 2;
                var pixels = new float[2 * 4 * 4];
                for (int p = 0; p < 16; p++)
                    for (int c = 0; c < 2; c++)
                        pixels[order == PixelOrder.Planar ? c * 16 + p : p * 2 + c] = random.NextSingle() + (c == bright ? 0.5f : 0f);
                yield return new Picture { Pixels = pixels, Channel = bright == 0 ? "first" : "second" };
            }
        }

        IDataView View(int count, int seed) => _ml.Data.LoadFromEnumerable(Pictures(count, seed));
        var network = Network.Image(4, 4, 2, order).Conv2d(4, kernel: 3).BatchNorm().Relu().GlobalAvgPool2d();
        using var model = _ml.Transforms.Conversion.MapValueToKey("Label", "Channel")
            .Append(_ml.MulticlassClassification.Trainers.MixedPrecision(network, featureColumnName: "Pixels", epochs: 20, batchSize: 16, learningRate: 0.02f)).Fit(View(100, 1));
        Assert.IsGreaterThan(0.95, _ml.MulticlassClassification.Evaluate(model.Transform(View(100, 2))).MicroAccuracy);
    }

    [TestMethod]
    public void TheReportedLossIsThatOfTheModel()
    {
        var data = TrainerData.Keyed(_ml, 200);
        using var model = Trainer(o => (o.ValidationSet, o.Precision) = (TrainerData.Keyed(_ml, 100, seed: 4), Precision.Single)).Fit(data);
        var metrics = _ml.MulticlassClassification.Evaluate(model.Transform(TrainerData.Keyed(_ml, 100, seed: 4)));
        // The probabilities are rounded to FP32 before the logarithm; a hundred rows' mean keeps that error.
        Assert.AreEqual(metrics.LogLoss, model.Report.Epochs[^1].ValidationLoss!.Value, Tolerance.Bound(Precision.Single, 10, 0, 100));
        Assert.AreEqual(metrics.MicroAccuracy, model.Report.Epochs[^1].ValidationMetric!.Value, Tolerance.SingleEps);
    }

    [TestMethod]
    public void TheSchemaIsThatOfANativeTrainer()
    {
        var data = TrainerData.Keyed(_ml, 60);
        using var model = Trainer().Fit(data);
        var native = _ml.MulticlassClassification.Trainers.SdcaMaximumEntropy(maximumNumberOfIterations: 2);
        string expected = Schemas.Describe(native.Fit(data).Transform(data).Schema);
        Assert.AreEqual(expected, Schemas.Describe(model.Transform(data).Schema));
        Assert.AreEqual(expected, Schemas.Describe(model.GetOutputSchema(data.Schema)));
        Assert.AreEqual(expected, Schemas.Describe(model.GetRowToRowMapper(data.Schema).OutputSchema));
    }

    [TestMethod]
    public void APipelineKnowsItsOutputBeforeItIsFitted()
    {
        var data = TrainerData.View(_ml, 60);
        var mine = Shape(Pipeline(Trainer()));
        CollectionAssert.AreEqual(Shape(Pipeline(_ml.MulticlassClassification.Trainers.SdcaMaximumEntropy())), mine);
        CollectionAssert.Contains(mine, "PredictedLabel Scalar UInt32 key: KeyValues, ScoreColumnKind, ScoreColumnSetId, ScoreValueKind");

        string[] Shape<T>(IEstimator<T> estimator) where T : class, ITransformer
        {
            var shape = TrainerData.Shape(data);
            return [.. estimator.GetOutputSchema(shape).Select(c => $"{c.Name} {c.Kind} {c.ItemType}{(c.IsKey ? " key" : "")}: {string.Join(", ", c.Annotations.Select(a => a.Name).Order(StringComparer.Ordinal))}")];
        }

        IEstimator<ITransformer> Pipeline<T>(IEstimator<T> trainer) where T : class, ITransformer => _ml.Transforms.Conversion.MapValueToKey("Label", "Name").Append(trainer);
    }

    [TestMethod]
    public void APipelineSavesAndReloadsAsStockPartsWithEqualScores()
    {
        var data = TrainerData.View(_ml, 120);
        using var model = _ml.Transforms.Conversion.MapValueToKey("Label", "Name")
            .Append(_ml.MulticlassClassification.Trainers.MixedPrecision(TrainerData.Options()))
            .Append(_ml.Transforms.Conversion.MapKeyToValue("PredictedLabel")).Fit(data);
        using var zip = new MemoryStream();
        _ml.Model.Save(model, data.Schema, zip);
        var reloaded = new MLContext().Model.Load(zip, out _);
        using var disposable = (IDisposable)reloaded;
        IDataView expected = model.Transform(data), actual = reloaded.Transform(data);
        Assert.AreEqual(Schemas.Describe(expected.Schema), Schemas.Describe(actual.Schema));
        CollectionAssert.AreEqual(expected.GetColumn<string>("PredictedLabel").ToArray(), actual.GetColumn<string>("PredictedLabel").ToArray());
        CollectionAssert.AreEqual(StockScoringChainTests.Scores(expected), StockScoringChainTests.Scores(actual));
        Assert.IsFalse(reloaded.GetType().Assembly == typeof(MixedPrecisionTransformer).Assembly);
    }

    [TestMethod]
    public void APredictionEngineGivesTheBatchScores()
    {
        var data = TrainerData.Keyed(_ml, 60);
        using var model = Trainer().Fit(data);
        float[][] batched = [.. model.Transform(data).GetColumn<float[]>("Score")];
        using var engine = _ml.Model.CreatePredictionEngine<TrainerData.Row, Prediction>(model);
        foreach (var (i, row) in TrainerData.Rows(60).Take(10).Index()) CollectionAssert.AreEqual(batched[i], engine.Predict(row).Score);
    }

    [TestMethod]
    public void CrossValidates()
    {
        var folds = _ml.MulticlassClassification.CrossValidate(TrainerData.Keyed(_ml, 300), Trainer(o => o.Epochs = 6), numberOfFolds: 3);
        Assert.HasCount(3, folds);
        foreach (var fold in folds) Assert.IsGreaterThan(0.8, fold.Metrics.MicroAccuracy);
        foreach (var fold in folds) ((IDisposable)fold.Model).Dispose();
    }

    [TestMethod]
    public void PermutationFeatureImportanceFindsWhatCounts()
    {
        // The third feature is the label; the others are noise.
        var rows = TrainerData.Rows(200).Select(row => { row.Name = row.Features[2] > 0 ? "yes" : "no"; return row; });
        var data = TrainerData.Keyed(_ml, rows);
        using var model = Trainer(o => o.Epochs = 10).Fit(data);
        var importance = _ml.MulticlassClassification.PermutationFeatureImportance(model, data);
        double[] loss = [.. importance.Select(feature => -feature.MicroAccuracy.Mean)];
        Assert.AreEqual(2, Array.IndexOf(loss, loss.Max()));
        Assert.IsGreaterThan(0.3, loss[2]);
    }

    [TestMethod]
    public void TheModelKnowsItsNetworkAndColumn()
    {
        var data = TrainerData.Keyed(_ml, 60);
        using var model = Trainer().Fit(data);
        Assert.AreEqual(Shape.Vector(TrainerData.Classes), model.Network.Shape);
        Assert.AreSame(model.Network, ((IPredictionTransformer<Network>)model).Model);
        Assert.AreEqual("Features", model.FeatureColumnName);
        Assert.AreEqual(data.Schema["Features"].Type, model.FeatureColumnType);
        Assert.IsTrue(model.IsRowToRowMapper);
    }

    [TestMethod]
    public void ADisposedModelSaysSo()
    {
        var data = TrainerData.Keyed(_ml, 60);
        var model = Trainer(o => o.Epochs = 1).Fit(data);
        model.Dispose();
        model.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.Transform(data));
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.GetOutputSchema(data.Schema));
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.GetRowToRowMapper(data.Schema));
        Assert.ThrowsExactly<ObjectDisposedException>(() => model.ExportToOnnx(Stream.Null));
        Assert.ThrowsExactly<ObjectDisposedException>(() => _ml.Model.Save(model, data.Schema, Stream.Null));
    }

    [TestMethod]
    [DataRow(OnnxPrecision.Half)]
    [DataRow(OnnxPrecision.Single)]
    public void AnExportLoadsThroughApplyOnnxModelAndKnowsTheLabels(OnnxPrecision precision)
    {
        var data = TrainerData.Keyed(_ml, 60);
        using var model = Trainer(o => o.Precision = precision == OnnxPrecision.Half ? Precision.Mixed : Precision.Single).Fit(data);
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName() + ".onnx");
        try
        {
            model.ExportToOnnx(path, precision);
            CollectionAssert.AreEqual(TrainerData.Onnx(model, precision), File.ReadAllBytes(path));
            CollectionAssert.AreEqual(new[] { "ash", "birch", "cedar" }, OnnxModel.Read(File.ReadAllBytes(path)).LabelNames.ToArray());
            var estimator = _ml.Transforms.ApplyOnnxModel(OnnxGraph.OutputName, OnnxGraph.InputName, path);
            var named = _ml.Transforms.CopyColumns(OnnxGraph.InputName, "Features").Append(estimator).Fit(data).Transform(data);
            int[] best = [.. named.GetColumn<float[]>(OnnxGraph.OutputName).Select(row => Array.IndexOf(row, row.Max()) + 1)];
            CollectionAssert.AreEqual(best, model.Transform(data).GetColumn<uint>("PredictedLabel").Select(key => (int)key).ToArray());
        }
        finally
        {
            File.Delete(path);
        }
    }

    [TestMethod]
    public void AnExportToNowhereNamesThePath()
    {
        using var model = Trainer(o => o.Epochs = 1).Fit(TrainerData.Keyed(_ml, 60));
        string path = Path.Combine(Path.GetTempPath(), "no-such-folder", "model.onnx");
        StringAssert.Contains(Assert.ThrowsExactly<IOException>(() => model.ExportToOnnx(path)).Message, path);
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => model.ExportToOnnx(Stream.Null, (OnnxPrecision)9));
    }

    private MixedPrecisionTrainer Trainer(Action<MixedPrecisionTrainer.Options>? change = null) => new(_ml, TrainerData.Options(change));

    private sealed class Picture
    {
        [VectorType(32)]
        public float[] Pixels { get; set; } = [];

        public string Channel { get; set; } = "";
    }

    private sealed class Prediction
    {
        public float[] Score { get; set; } = [];
    }
}
