using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Data and networks that cannot be trained: one exception that names column or layer, what was expected, what was found, what to do.</summary>
[TestClass]
public sealed class BadInputTests
{
    private readonly MLContext _ml = new(seed: 1);

    [TestMethod]
    public void NoRows() => Fails<InvalidOperationException>(Empty(), null, "at least 1 row", "got none");

    [TestMethod]
    public void OneClassOnly()
    {
        var data = TrainerData.Keyed(_ml, 100);
        var birch = _ml.Transforms.Conversion.MapValueToKey("Label", "Name").Fit(data).Transform(_ml.Data.LoadFromEnumerable(TrainerData.Rows(100).Where(row => row.Name == "birch")));
        Fails<InvalidOperationException>(birch, null, "'Label'", "at least 2 classes", "one class only");
        var single = TrainerData.Keyed(_ml, TrainerData.Rows(50).Where(row => row.Name == "birch"));
        Fails<ArgumentOutOfRangeException>(single, null, "'Label'", "at least 2 classes", "got 1");
    }

    [TestMethod]
    [DataRow(float.NaN, "NaN")]
    [DataRow(float.PositiveInfinity, "Infinity")]
    [DataRow(float.NegativeInfinity, "-Infinity")]
    [DataRow(70000f, "70000")]
    [DataRow(-65505f, "-65505")]
    public void FeaturesThatAreNoHalves(float value, string got)
    {
        var rows = TrainerData.Rows(40).ToArray();
        rows[23].Features[2] = value;
        Fails<InvalidOperationException>(TrainerData.Keyed(_ml, rows), null, "'Features'", "row 23", "element 2", got);
        if (!float.IsFinite(value)) Fails<InvalidOperationException>(TrainerData.Keyed(_ml, rows), o => o.Precision = Precision.Single, "'Features'", "row 23", got);
    }

    [TestMethod]
    public void TheLargestHalfIsFine()
    {
        var rows = TrainerData.Rows(40).ToArray();
        rows[23].Features[2] = 65504f;
        using var reader = new RowReader(TrainerData.Keyed(_ml, rows), Columns, Precision.Mixed, null, "");
        int count = 0;
        while (reader.Read()) count++;
        Assert.AreEqual(40, count);
    }

    [TestMethod]
    public void LargeFeaturesAreFineInSingle()
    {
        var rows = TrainerData.Rows(40).ToArray();
        rows[23].Features[2] = 1e6f;
        using var reader = new RowReader(TrainerData.Keyed(_ml, rows), Columns, Precision.Single, null, "");
        int count = 0;
        while (reader.Read()) count++;
        Assert.AreEqual(40, count);
    }

    [TestMethod]
    [DataRow(float.NaN)]
    [DataRow(-1f)]
    [DataRow(float.PositiveInfinity)]
    public void Weights(float weight)
    {
        var rows = TrainerData.Rows(40).ToArray();
        rows[9].Weight = weight;
        Fails<InvalidOperationException>(TrainerData.Keyed(_ml, rows), o => o.ExampleWeightColumnName = "Weight", "'Weight'", "row 9", "at least 0");
    }

    [TestMethod]
    public void NoWeightAtAll()
    {
        var rows = TrainerData.Rows(40).ToArray();
        foreach (var row in rows) row.Weight = 0f;
        Fails<InvalidOperationException>(TrainerData.Keyed(_ml, rows), o => o.ExampleWeightColumnName = "Weight", "weight above 0");
    }

    [TestMethod]
    [DataRow("Features", "Gone", "Features column 'Gone'")]
    [DataRow("Label", "Gone", "Label column 'Gone'")]
    [DataRow("Weight", "Gone", "Example weight column 'Gone'")]
    [DataRow("Weight", "IsBirch", "Example weight column 'IsBirch': expected Single, got Boolean")]
    public void ColumnsThatAreNotThere(string role, string name, string message)
    {
        void Change(MixedPrecisionTrainer.Options o)
        {
            if (role == "Features") o.FeatureColumnName = name;
            else if (role == "Label") o.LabelColumnName = name;
            else o.ExampleWeightColumnName = name;
        }

        Fails<ArgumentOutOfRangeException>(TrainerData.Keyed(_ml, 40), Change, message);
    }

    [TestMethod]
    public void FeaturesThatAreNoVector()
    {
        var data = TrainerData.Keyed(_ml, 40);
        Fails<ArgumentOutOfRangeException>(data, o => o.FeatureColumnName = "Name", "'Name'", "a vector of 4 Single", "got String", "FeaturizeText");
        Fails<ArgumentOutOfRangeException>(data, o => o.FeatureColumnName = "Value", "'Value'", "a vector of 4 Single", "got Single", "Concatenate");
        Fails<ArgumentOutOfRangeException>(data, o => o.FeatureColumnName = "Values", "'Values'", "a vector of 4 Single", "got a vector of 2", "Network.Vector(2)");
        var doubles = _ml.Transforms.Conversion.ConvertType("Features", outputKind: DataKind.Double).Fit(data).Transform(data);
        Fails<ArgumentOutOfRangeException>(doubles, null, "'Features'", "Vector<Double, 4>", "ConvertType");
        var unknown = TrainerData.Keyed(_ml, 4);
        var ragged = _ml.Data.LoadFromEnumerable([new Ragged { Features = [1, 2], Name = "a" }, new Ragged { Features = [1], Name = "b" }]);
        Fails<ArgumentOutOfRangeException>(_ml.Transforms.Conversion.MapValueToKey("Label", "Name").Fit(ragged).Transform(ragged), null, "'Features'", "unknown size", "VectorType");
    }

    [TestMethod]
    public void AnImageOfAnotherSize()
    {
        Fails<ArgumentOutOfRangeException>(TrainerData.Keyed(_ml, 40), o => o.Network = Network.Image(3, 2, 1).Flatten(), "'Features'", "a vector of 6 Single", "3 x 2 with 1 channel", "got a vector of 4");
        Fails<ArgumentOutOfRangeException>(TrainerData.Keyed(_ml, 40), o => o.Network = Network.Sequence(3, 2).Flatten(), "'Features'", "a vector of 6 Single", "3 positions with 2 features each", "got a vector of 4", "Network.Sequence");
        Fails<ArgumentOutOfRangeException>(TrainerData.Keyed(_ml, 40), o => o.Network = Network.Sequence(2, 2).Relu(), "Relu 'Relu1'", "a vector", "a sequence 2x2", "GlobalAvgPool1d()");
    }

    [TestMethod]
    public void AKeyWithoutValues()
    {
        var keys = _ml.Data.LoadFromEnumerable(Enumerable.Range(0, 20).Select(i => new BareKey { Features = [i, 1, 2, 3], Label = (uint)(i % 3 + 1) }));
        Fails<ArgumentOutOfRangeException>(keys, null, "'Label'", "a key with its values", "without values", "MapValueToKey");
    }

    [TestMethod]
    public void AMissingLabel()
    {
        var data = TrainerData.Rows(40).ToArray();
        var fitted = _ml.Transforms.Conversion.MapValueToKey("Label", "Name").Fit(_ml.Data.LoadFromEnumerable(data));
        data[12].Name = "dogwood"; // was not there when the key was made
        Fails<InvalidOperationException>(fitted.Transform(_ml.Data.LoadFromEnumerable(data)), null, "'Label'", "row 12", "one of the 3 classes", "a missing value");
    }

    [TestMethod]
    [DataRow("Name", "String")]
    [DataRow("Code", "Int32")]
    public void LabelsThatAreForNoTask(string column, string got)
    {
        var data = TrainerData.Keyed(_ml, 40);
        Fails<ArgumentOutOfRangeException>(data, o => o.LabelColumnName = column, $"'{column}'", "a key (multiclass)", $"got {got}");
    }

    [TestMethod]
    public void ALabelOfAnotherTask()
    {
        var data = TrainerData.Keyed(_ml, 40);
        Fails<ArgumentOutOfRangeException>(data, o => (o.Loss, o.LabelColumnName) = (new SoftmaxCrossEntropy(), "IsBirch"), "'IsBirch'", "a key (multiclass classification)", "got Boolean");
        var trainer = _ml.BinaryClassification.Trainers.MixedPrecision(TrainerData.Options());
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => trainer.Fit(data)).Message, "expected Boolean (binary classification), got Key");
        var e = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => _ml.Regression.Trainers.MixedPrecision(TrainerData.Options(o => o.Loss = new SoftmaxCrossEntropy())));
        StringAssert.Contains(e.Message, "Loss: expected a loss for regression, got SoftmaxCrossEntropy");
    }

    [TestMethod]
    public void AHeadOfAnotherWidth() =>
        Fails<ArgumentOutOfRangeException>(TrainerData.Keyed(_ml, 40), o => o.Network = TrainerData.Network.Linear(5, name: "scores"), "Linear 'scores'", "3 outputs for the 3 classes of label column 'Label'", "got 5");

    [TestMethod]
    public void AHeadOfTheRightWidthIsTheHead()
    {
        using var mine = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => o.Network = TrainerData.Network.Linear(3))).Fit(TrainerData.Keyed(_ml, 40));
        using var added = new MixedPrecisionTrainer(_ml, TrainerData.Options()).Fit(TrainerData.Keyed(_ml, 40));
        CollectionAssert.AreEqual(TrainerData.Onnx(added), TrainerData.Onnx(mine));
    }

    [TestMethod]
    public void ANetworkThatEndsInAnImage() =>
        Fails<ArgumentOutOfRangeException>(TrainerData.Keyed(_ml, 40), o => o.Network = Network.Image(2, 2, 1).Relu(), "Relu 'Relu1'", "a vector", "an image 2x2x1", "Flatten()");

    [TestMethod]
    public void AProbabilityThatTheLossContains()
    {
        Fails<ArgumentOutOfRangeException>(TrainerData.Keyed(_ml, 40), o => o.Network = TrainerData.Network.Linear(3).Softmax(name: "probabilities"), "Softmax 'probabilities'", "before the softmax or the sigmoid", "remove that layer");
        Fails<ArgumentOutOfRangeException>(TrainerData.View(_ml, 40), o => (o.Network, o.LabelColumnName) = (TrainerData.Network.Linear(1).Sigmoid(), "IsBirch"), "Sigmoid 'Sigmoid1'", "remove that layer");
        // As a hidden layer the sigmoid is like any other, and a regression's output may be one.
        foreach (var (network, label) in ((Network, string)[])[(TrainerData.Network.Sigmoid(), "IsBirch"), (TrainerData.Network.Linear(1).Sigmoid(), "Value")])
        {
            using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o => (o.Network, o.LabelColumnName, o.Epochs) = (network, label, 1))).Fit(TrainerData.View(_ml, 40));
            Assert.AreEqual(network.ParameterCount + network.Shape.Size + 1, model.Network.ParameterCount, "a Linear(1) was added");
        }
    }

    [TestMethod]
    public void ClassWeightsOfAnotherNumber() =>
        Fails<ArgumentOutOfRangeException>(TrainerData.Keyed(_ml, 40), o => o.Loss = new SoftmaxCrossEntropy { ClassWeights = [1, 2] }, "ClassWeights: expected 3 weights", "got 2");

    [TestMethod]
    public void AValidationSetThatDoesNotFit()
    {
        var data = TrainerData.Keyed(_ml, 40);
        Fails<ArgumentOutOfRangeException>(data, o => o.ValidationSet = TrainerData.View(_ml, 10), "ValidationSet: Label column 'Label'");
        var two = TrainerData.Keyed(_ml, TrainerData.Rows(40).Where(row => row.Name != "ash"));
        Fails<ArgumentOutOfRangeException>(data, o => o.ValidationSet = two, "ValidationSet: Label column 'Label'", "3 classes", "got 2");
        var rows = TrainerData.Rows(40).ToArray();
        rows[3].Features[0] = float.NaN;
        Fails<InvalidOperationException>(data, o => o.ValidationSet = TrainerData.Keyed(_ml, rows), "ValidationSet: Features column 'Features', row 3");
        Fails<InvalidOperationException>(data, o => o.ValidationSet = Empty(), "ValidationSet: expected rows", "got none");
    }

    [TestMethod]
    public void AFractionThatLeavesNothing()
    {
        Fails<InvalidOperationException>(TrainerData.Keyed(_ml, 30), o => o.ValidationFraction = 0.9999f, "ValidationFraction: expected rows left to train on");
        Fails<InvalidOperationException>(TrainerData.Keyed(_ml, 30), o => o.ValidationFraction = 0.0001f, "ValidationFraction: expected rows to validate on");
    }

    [TestMethod]
    public void AMetricOfAnotherTask() =>
        Fails<ArgumentOutOfRangeException>(TrainerData.Keyed(_ml, 40), o => (o.ValidationFraction, o.EarlyStopping) = (0.3f, new EarlyStopping(EarlyStoppingMetric.MeanAbsoluteError)), "EarlyStopping.Metric", "Loss or Accuracy");

    [TestMethod]
    public void ATrainingThatDiverges()
    {
        // 1e30 makes every weight infinite at the first update.
        foreach (var precision in (Precision[])[Precision.Mixed, Precision.Single])
            Fails<InvalidOperationException>(TrainerData.Keyed(_ml, 400), o => (o.Optimizer, o.Precision) = (new Sgd(1e30f), precision), "diverged", "learning rate", "not finite");
    }

    /// <summary>Every epoch skips the batch with that row, and is about the others.</summary>
    [TestMethod]
    public void ARowThatOverflowsTheNetworkIsLeftOutOfTheLoss()
    {
        var rows = TrainerData.Rows(400).ToArray();
        rows[200].Features = [65504f, 65504f, 65504f, 65504f];
        using var model = new MixedPrecisionTrainer(_ml, TrainerData.Options(o =>
            (o.Network, o.LossScale) = (Network.Vector(TrainerData.Features).Linear(64).Relu().Linear(16).Relu(), LossScale.Dynamic(1024f)))).Fit(TrainerData.Keyed(_ml, rows));
        Assert.AreEqual((4, 96), (model.Report.SkippedUpdates, model.Report.AppliedUpdates));
        foreach (var epoch in model.Report.Epochs) Assert.IsTrue(double.IsFinite(epoch.Loss) && double.IsFinite(epoch.Metric), $"{epoch}");
        Assert.IsLessThan(model.Report.Epochs[0].Loss, model.Report.Epochs[^1].Loss);
    }

    [TestMethod]
    public void ATrainingThatEndsBeforeTheScaleCanFall() =>
        Fails<InvalidOperationException>(TrainerData.Keyed(_ml, 32), o => (o.Optimizer, o.Epochs) = (new Sgd(1e30f), 1), "gives NaN for a row of the training data", "diverged", "learning rate");

    [TestMethod]
    public void MoreUpdatesThanCanBeCounted() =>
        Fails<ArgumentOutOfRangeException>(TrainerData.Keyed(_ml, 40), o => o.Epochs = int.MaxValue, "Epochs: expected at most", "BatchSize");

    [TestMethod]
    public void APipelineThatDoesNotFitSaysSoBeforeItRuns()
    {
        var data = TrainerData.Keyed(_ml, 20);
        Fails("'Gone'", o => o.FeatureColumnName = "Gone");
        Fails("'Gone'", o => o.LabelColumnName = "Gone");
        Fails("'Gone'", o => o.ExampleWeightColumnName = "Gone");
        Fails("'Name': expected a vector of 4 Single, got String", o => o.FeatureColumnName = "Name");
        Fails("'Value': expected a vector of 4 Single, got Single", o => o.FeatureColumnName = "Value");
        Fails("'Name': expected a key (multiclass), Boolean (binary), or Single", o => o.LabelColumnName = "Name");
        Fails("'Label': expected Boolean (binary classification), got Key", o => o.Loss = new SigmoidCrossEntropy());

        void Fails(string message, Action<MixedPrecisionTrainer.Options> change)
        {
            var pipeline = _ml.Transforms.CopyColumns("Copy", "Features").Append(new MixedPrecisionTrainer(_ml, TrainerData.Options(change)));
            StringAssert.Contains(Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => pipeline.Fit(data)).Message, message);
        }
    }

    [TestMethod]
    public void ATrainingThatNeverStepped() =>
        Fails<InvalidOperationException>(TrainerData.Keyed(_ml, 32), o => (o.LossScale, o.Epochs) = (LossScale.Dynamic(1e30f), 1), "Nothing was learned", "LossScale.Dynamic");

    [TestMethod]
    public void DataThatChangeInTraining()
    {
        int pass = 0;
        IEnumerable<TrainerData.Row> Rows() => TrainerData.Rows(pass++ == 0 ? 100 : 60);
        var fitted = _ml.Transforms.Conversion.MapValueToKey("Label", "Name").Fit(TrainerData.View(_ml, 100));
        var data = fitted.Transform(_ml.Data.LoadFromEnumerable(new Repeating<TrainerData.Row>(Rows)));
        Fails<InvalidOperationException>(data, o => o.CacheBytes = 400, "data changed", "Cache");
    }

    [TestMethod]
    public void WhatTheDataSourceThrowsReachesTheCaller()
    {
        int pass = 0;
        IEnumerable<TrainerData.Row> Rows()
        {
            int failing = ++pass;
            foreach (var row in TrainerData.Rows(100))
            {
                if (failing == 2 && row.Weight > 1) throw new FormatException("line 17 is torn");
                yield return row;
            }
        }

        var fitted = _ml.Transforms.Conversion.MapValueToKey("Label", "Name").Fit(TrainerData.View(_ml, 100));
        var data = fitted.Transform(_ml.Data.LoadFromEnumerable(new Repeating<TrainerData.Row>(Rows)));
        var e = Assert.Throws<Exception>(() => new MixedPrecisionTrainer(_ml, TrainerData.Options(o => o.CacheBytes = 400)).Fit(data));
        StringAssert.Contains(e.ToString(), "line 17 is torn");
    }

    [TestMethod]
    public void NullsAreNamed()
    {
        Assert.ThrowsExactly<ArgumentNullException>(() => new MixedPrecisionTrainer(null!, TrainerData.Options()));
        Assert.ThrowsExactly<ArgumentNullException>(() => new MixedPrecisionTrainer(_ml, null!));
        Assert.ThrowsExactly<ArgumentNullException>(() => _ml.MulticlassClassification.Trainers.MixedPrecision((Network)null!));
        Assert.ThrowsExactly<ArgumentNullException>(() => new MixedPrecisionTrainer(_ml, TrainerData.Options()).Fit(null!));
    }

    private static TrainingColumns Columns => new("Features", "Label", null, ScoringTask.Multiclass, TrainerData.Features, TrainerData.Classes);

    /// <summary>With a key of three values, and no rows.</summary>
    private IDataView Empty() => _ml.Transforms.Conversion.MapValueToKey("Label", "Name").Fit(TrainerData.View(_ml, 40)).Transform(_ml.Data.LoadFromEnumerable<TrainerData.Row>([]));

    private void Fails<TException>(IDataView data, Action<MixedPrecisionTrainer.Options>? change, params string[] parts) where TException : Exception
    {
        var e = Assert.ThrowsExactly<TException>(() => new MixedPrecisionTrainer(_ml, TrainerData.Options(change)).Fit(data));
        foreach (string part in parts) StringAssert.Contains(e.Message, part);
    }

    private sealed class Ragged
    {
        public float[] Features { get; set; } = [];
        public string Name { get; set; } = "";
    }

    private sealed class BareKey
    {
        [VectorType(4)]
        public float[] Features { get; set; } = [];

        [KeyType(3)]
        public uint Label { get; set; }
    }
}
