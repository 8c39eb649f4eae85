using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The tasks beside multiclass: a Boolean, a value, a vector of values.</summary>
[TestClass]
public sealed class BinaryAndRegressionTests
{
    private readonly MLContext _ml = new(seed: 1);

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void LearnsYesAndNo(Precision precision)
    {
        using var model = _ml.BinaryClassification.Trainers.MixedPrecision(Options("IsBirch", o => o.Precision = precision)).Fit(TrainerData.View(_ml, 400));
        var test = TrainerData.View(_ml, 200, seed: 4);
        var metrics = _ml.BinaryClassification.Evaluate(model.Transform(test), "IsBirch");
        Assert.IsGreaterThan(0.9, metrics.Accuracy);
        Assert.IsGreaterThan(0.95, metrics.AreaUnderRocCurve);
        Assert.IsLessThan(0.5, metrics.LogLoss); // in bits; 0.9 is what the share of true rows alone gives
        string expected = Schemas.Describe(_ml.BinaryClassification.Trainers.SdcaLogisticRegression("IsBirch", maximumNumberOfIterations: 2).Fit(test).Transform(test).Schema);
        Assert.AreEqual(expected, Schemas.Describe(model.Transform(test).Schema));
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void LearnsAValue(Precision precision)
    {
        using var model = _ml.Regression.Trainers.MixedPrecision(Options("Value", o => o.Precision = precision)).Fit(TrainerData.View(_ml, 400));
        var test = TrainerData.View(_ml, 200, seed: 4);
        var scored = model.Transform(test);
        Assert.IsGreaterThan(0.95, _ml.Regression.Evaluate(scored, "Value").RSquared);
        string expected = Schemas.Describe(_ml.Regression.Trainers.Sdca("Value", maximumNumberOfIterations: 2).Fit(test).Transform(test).Schema);
        Assert.AreEqual(expected, Schemas.Describe(scored.Schema));
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void LearnsAVectorOfValues(Precision precision)
    {
        var trainer = _ml.Regression.Trainers.MixedPrecision(Options("Values", o => o.Precision = precision));
        using var model = trainer.Fit(TrainerData.View(_ml, 400));
        var test = TrainerData.View(_ml, 200, seed: 4);
        double error = 0, spread = 0;
        foreach (var (score, label) in model.Transform(test).GetColumn<float[]>("Score").Zip(test.GetColumn<float[]>("Values")))
        {
            Assert.HasCount(2, score);
            error += score.Zip(label, (s, l) => (s - l) * (s - l)).Sum();
            spread += label.Sum(l => l * l);
        }
        Assert.IsLessThan(0.05, error / spread);
    }

    [TestMethod]
    public void TheShortFormsTrain()
    {
        var data = TrainerData.View(_ml, 200);
        using var binary = _ml.BinaryClassification.Trainers.MixedPrecision(TrainerData.Network, "IsBirch", exampleWeightColumnName: "Weight", epochs: 3, batchSize: 50, learningRate: 0.01f).Fit(data);
        using var regression = _ml.Regression.Trainers.MixedPrecision(TrainerData.Network, "Value", epochs: 2, batchSize: 100, learningRate: 0.02f).Fit(data);
        Assert.AreEqual((3, 12), (binary.Report.Epochs.Count, binary.Report.AppliedUpdates + binary.Report.SkippedUpdates));
        Assert.AreEqual((2, 4), (regression.Report.Epochs.Count, regression.Report.AppliedUpdates + regression.Report.SkippedUpdates));
        Assert.AreEqual((0.01f, 0.02f), ((float)binary.Report.Epochs[0].LearningRate, (float)regression.Report.Epochs[0].LearningRate));
    }

    [TestMethod]
    [DataRow("IsBirch", Precision.Mixed)]
    [DataRow("Values", Precision.Single)]
    public void DataLargerThanMemoryTrainToo(string label, Precision precision)
    {
        byte[] Fit(bool shuffle, long bytes)
        {
            using var model = new MixedPrecisionTrainer(_ml, Options(label, o => (o.Precision, o.Shuffle, o.CacheBytes, o.Epochs) = (precision, shuffle, bytes, 3))).Fit(TrainerData.View(_ml, 120));
            return TrainerData.Onnx(model);
        }

        CollectionAssert.AreEqual(Fit(false, 1 << 20), Fit(false, 500));
        CollectionAssert.AreEqual(Fit(true, 500), Fit(true, 500));
        CollectionAssert.AreNotEqual(Fit(true, 1 << 20), Fit(true, 500));
    }

    [TestMethod]
    public void TheLabelNamesTheTask()
    {
        foreach (var (label, task) in ((string, Type)[])[("IsBirch", typeof(bool)), ("Value", typeof(float)), ("Values", typeof(VBuffer<float>))])
        {
            using var model = new MixedPrecisionTrainer(_ml, Options(label, o => o.Epochs = 1)).Fit(TrainerData.View(_ml, 60));
            var schema = model.GetOutputSchema(TrainerData.View(_ml, 1).Schema);
            Assert.AreEqual(label == "IsBirch", schema.GetColumnOrNull("Probability") is not null);
            Assert.AreEqual(task == typeof(bool) ? typeof(float) : task, schema["Score"].Type.RawType);
        }
    }

    [TestMethod]
    [DataRow("IsBirch")]
    [DataRow("Value")]
    [DataRow("Values")]
    public void ASavedModelScoresTheSame(string label)
    {
        var data = TrainerData.View(_ml, 60);
        using var model = new MixedPrecisionTrainer(_ml, Options(label, o => o.Epochs = 2)).Fit(data);
        using var zip = new MemoryStream();
        _ml.Model.Save(model, data.Schema, zip);
        var reloaded = new MLContext().Model.Load(zip, out _);
        using var disposable = (IDisposable)reloaded;
        CollectionAssert.AreEqual(StockScoringChainTests.Scores(model.Transform(data)), StockScoringChainTests.Scores(reloaded.Transform(data)));
    }

    [TestMethod]
    public void ARegressionKnowsItsOutputBeforeItIsFitted()
    {
        var data = TrainerData.View(_ml, 10);
        CollectionAssert.AreEqual(Columns(_ml.Regression.Trainers.Sdca("Value")), Columns(new MixedPrecisionTrainer(_ml, Options("Value"))));
        CollectionAssert.AreEqual(Columns(_ml.BinaryClassification.Trainers.SdcaLogisticRegression("IsBirch")), Columns(new MixedPrecisionTrainer(_ml, Options("IsBirch"))));
        CollectionAssert.Contains(Columns(new MixedPrecisionTrainer(_ml, Options("Values"))), "Score Vector Single");

        string[] Columns<T>(IEstimator<T> estimator) where T : class, ITransformer
        {
            var shape = TrainerData.Shape(data);
            return [.. estimator.GetOutputSchema(shape).Select(c => $"{c.Name} {c.Kind} {c.ItemType}")];
        }
    }

    [TestMethod]
    public void CrossValidatesAndFindsWhatCounts()
    {
        var data = TrainerData.View(_ml, 300);
        foreach (var fold in _ml.BinaryClassification.CrossValidate(data, new MixedPrecisionTrainer(_ml, Options("IsBirch")), 3, "IsBirch"))
        {
            Assert.IsGreaterThan(0.8, fold.Metrics.Accuracy);
            ((IDisposable)fold.Model).Dispose();
        }
        using var model = new MixedPrecisionTrainer(_ml, Options("Value")).Fit(data); // x0 + x1
        double[] importance = [.. _ml.Regression.PermutationFeatureImportance(model, data, "Value").Select(f => f.MeanSquaredError.Mean)];
        Assert.IsGreaterThan(5 * Math.Max(importance[2], importance[3]), Math.Min(importance[0], importance[1]));
    }

    [TestMethod]
    [DataRow("IsBirch")]
    [DataRow("Value")]
    public void TheReportedMetricIsMlNets(string label)
    {
        var validation = TrainerData.View(_ml, 100, seed: 4);
        using var model = new MixedPrecisionTrainer(_ml, Options(label, o => (o.ValidationSet, o.Precision, o.Epochs) = (validation, Precision.Single, 3))).Fit(TrainerData.View(_ml, 200));
        var last = model.Report.Epochs[^1];
        double bound = Tolerance.Bound(Precision.Single, 10, 0, 100);
        if (label == "Value")
        {
            var metrics = _ml.Regression.Evaluate(model.Transform(validation), label);
            Assert.AreEqual(metrics.MeanSquaredError, last.ValidationLoss!.Value, bound);
            Assert.AreEqual(metrics.MeanAbsoluteError, last.ValidationMetric!.Value, bound);
        }
        else
        {
            var metrics = _ml.BinaryClassification.Evaluate(model.Transform(validation), label);
            Assert.AreEqual(metrics.LogLoss * Math.Log(2), last.ValidationLoss!.Value, bound); // ML.NET's is in bits
            Assert.AreEqual(metrics.Accuracy, last.ValidationMetric!.Value, Tolerance.SingleEps);
        }
    }

    [TestMethod]
    public void OneAnswerOnlyIsAnError()
    {
        var data = _ml.Data.LoadFromEnumerable(TrainerData.Rows(60).Where(row => row.IsBirch));
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => new MixedPrecisionTrainer(_ml, Options("IsBirch")).Fit(data));
        StringAssert.Contains(e.Message, "'IsBirch'");
        StringAssert.Contains(e.Message, "one class only");
    }

    [TestMethod]
    [DataRow("Value", float.NaN, "NaN")]
    [DataRow("Values", float.NaN, "NaN, element 1")]
    [DataRow("Value", float.PositiveInfinity, "Infinity")]
    [DataRow("Value", -1e6f, "-1000000")]
    public void LabelsThatAreNoNumbers(string label, float value, string got)
    {
        var rows = TrainerData.Rows(60).ToArray();
        rows[11].Value = rows[11].Values[1] = value;
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => new MixedPrecisionTrainer(_ml, Options(label)).Fit(_ml.Data.LoadFromEnumerable(rows)));
        foreach (string part in (string[])[$"Label column '{label}'", "row 11", got]) StringAssert.Contains(e.Message, part);
    }

    [TestMethod]
    public void AVectorLabelOfUnknownSize()
    {
        var data = _ml.Data.LoadFromEnumerable([new Ragged { Features = [1, 2, 3, 4], Targets = [1] }]);
        var e = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new MixedPrecisionTrainer(_ml, Options("Targets")).Fit(data));
        StringAssert.Contains(e.Message, "Label column 'Targets': expected a vector of known size");
    }

    [TestMethod]
    public void LossOptionsChangeTheModel()
    {
        CollectionAssert.AreNotEqual(Fit("IsBirch", new SigmoidCrossEntropy()), Fit("IsBirch", new SigmoidCrossEntropy(3f)));
        CollectionAssert.AreNotEqual(Fit("Value", new Huber()), Fit("Value", new Huber(0.1f)));
        CollectionAssert.AreNotEqual(Fit("Value", new Huber()), Fit("Value", new MeanSquaredError()));
        CollectionAssert.AreEqual(Fit("Value", null), Fit("Value", new MeanSquaredError()));

        byte[] Fit(string label, Loss? loss)
        {
            using var model = new MixedPrecisionTrainer(_ml, Options(label, o => (o.Loss, o.Epochs) = (loss, 2))).Fit(TrainerData.View(_ml, 60));
            return TrainerData.Onnx(model);
        }
    }

    [TestMethod]
    [DataRow(0f)]
    [DataRow(-1f)]
    [DataRow(float.NaN)]
    [DataRow(float.PositiveInfinity)]
    public void BadLossOptionsAreNamed(float value)
    {
        var e = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new MixedPrecisionTrainer(_ml, Options("Value", o => o.Loss = new Huber(value))));
        StringAssert.Contains(e.Message, "Loss.Delta: expected");
        e = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new MixedPrecisionTrainer(_ml, Options("Value", o => o.Loss = new SigmoidCrossEntropy(value))));
        StringAssert.Contains(e.Message, "Loss.PositiveWeight: expected");
    }

    [TestMethod]
    public void ALossOfAnotherTaskIsNamed()
    {
        var e = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new MixedPrecisionTrainer(_ml, Options("Value", o => o.Loss = new SigmoidCrossEntropy())).Fit(TrainerData.View(_ml, 60)));
        StringAssert.Contains(e.Message, "'Value': expected Boolean (binary classification), got Single");
        e = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new MixedPrecisionTrainer(_ml, Options("IsBirch", o => o.Loss = new Huber())).Fit(TrainerData.View(_ml, 60)));
        StringAssert.Contains(e.Message, "'IsBirch': expected Single, or a vector of Single (regression), got Boolean");
    }

    private static MixedPrecisionTrainer.Options Options(string label, Action<MixedPrecisionTrainer.Options>? change = null) => TrainerData.Options(o =>
    {
        (o.LabelColumnName, o.Epochs, o.Optimizer) = (label, 12, new Sgd(0.05f, 0.9f));
        change?.Invoke(o);
    });

    private sealed class Ragged
    {
        [VectorType(TrainerData.Features)]
        public float[] Features { get; set; } = [];

        public float[] Targets { get; set; } = [];
    }
}
