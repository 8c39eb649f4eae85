using System.Globalization;
using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class StockScoringChainTests
{
    private readonly MLContext _ml = new(seed: 1);

    // What the format explains: three logits of at most 5 terms, and the softmax's and the sigmoid's own roundings.
    private static readonly OnnxTolerance SinglePrecision = Tolerance.OfSum(OnnxPrecision.Single, terms: 8);

    [TestMethod]
    [DataRow("Name")]
    [DataRow("Code")]
    [DataRow("Size")]
    public void MulticlassSchemaIsThatOfANativeTrainer(string labels)
    {
        (IDataView data, StockScoringChain chain) = Multiclass(labels);
        using (chain)
        {
            var native = _ml.MulticlassClassification.Trainers.SdcaMaximumEntropy("Label", "Pixels", maximumNumberOfIterations: 2).Fit(data);
            string expected = Schemas.Describe(native.Transform(data).Schema);
            StringAssert.Contains(expected, "KeyValues");
            AssertSchema(expected, chain, data);
        }
    }

    [TestMethod]
    public void BinarySchemaIsThatOfANativeTrainer()
    {
        IDataView data = new ScoringData(_ml, 60).View;
        using StockScoringChain chain = Chain(ScoringData.FirstLogit(), data, "IsFirst", ScoringTask.Binary);
        AssertSchema(Schemas.Describe(_ml.BinaryClassification.Trainers.SdcaLogisticRegression("IsFirst", "Pixels", maximumNumberOfIterations: 2).Fit(data).Transform(data).Schema), chain, data);
        AssertSchema(Schemas.Describe(_ml.BinaryClassification.Trainers.LbfgsLogisticRegression("IsFirst", "Pixels").Fit(data).Transform(data).Schema), chain, data);
    }

    [TestMethod]
    public void RegressionSchemaIsThatOfANativeTrainer()
    {
        IDataView data = new ScoringData(_ml, 60).View;
        using StockScoringChain chain = Chain(ScoringData.FirstLogit(), data, "Value", ScoringTask.Regression);
        AssertSchema(Schemas.Describe(_ml.Regression.Trainers.Sdca("Value", "Pixels", maximumNumberOfIterations: 2).Fit(data).Transform(data).Schema), chain, data);
    }

    [TestMethod]
    [DataRow("Name")]
    [DataRow("Code")]
    public void MulticlassEvaluatesAndPredictsItsLabels(string labels)
    {
        (IDataView data, StockScoringChain chain) = Multiclass(labels);
        using (chain)
        {
            IDataView scored = chain.Transform(data);
            Assert.AreEqual(1, _ml.MulticlassClassification.Evaluate(scored).MicroAccuracy);

            IDataView named = _ml.Transforms.Conversion.MapKeyToValue("PredictedLabel").Fit(scored).Transform(scored);
            if (labels == "Name") CollectionAssert.AreEqual(data.GetColumn<string>("Name").ToArray(), named.GetColumn<string>("PredictedLabel").ToArray());
            else CollectionAssert.AreEqual(data.GetColumn<int>("Code").ToArray(), named.GetColumn<int>("PredictedLabel").ToArray());
        }
    }

    [TestMethod]
    public void MulticlassScoreIsTheSoftmaxOfTheLogits()
    {
        var data = new ScoringData(_ml, 40);
        IDataView keyed = _ml.Transforms.Conversion.MapValueToKey("Label", "Name").Fit(data.View).Transform(data.View);
        using StockScoringChain chain = Chain(ScoringData.ClassModel(), keyed, "Label", ScoringTask.Multiclass);
        float[] expected = [.. data.Logits.Chunk(ScoringData.Classes).SelectMany(row =>
        {
            double sum = row.Sum(logit => Math.Exp(logit));
            return row.Select(logit => (float)(Math.Exp(logit) / sum));
        })];
        Same(expected, [.. chain.Transform(keyed).GetColumn<float[]>("Score").SelectMany(row => row)], ScoringData.Classes);
    }

    [TestMethod]
    public void BinaryScoresAreLogitAndSigmoid()
    {
        var data = new ScoringData(_ml, 60);
        using StockScoringChain chain = Chain(ScoringData.FirstLogit(), data.View, "IsFirst", ScoringTask.Binary);
        IDataView scored = chain.Transform(data.View);
        float[] logits = [.. data.View.GetColumn<float>("Value")];
        Same(logits, [.. scored.GetColumn<float>("Score")], 1);
        Same([.. logits.Select(logit => (float)(1 / (1 + Math.Exp(-logit))))], [.. scored.GetColumn<float>("Probability")], 1);
        CollectionAssert.AreEqual(data.View.GetColumn<bool>("IsFirst").ToArray(), scored.GetColumn<bool>("PredictedLabel").ToArray());
        Assert.AreEqual(1, _ml.BinaryClassification.Evaluate(scored, "IsFirst").AreaUnderRocCurve);
    }

    [TestMethod]
    public void RegressionUndoesAStandardizedLabel()
    {
        var data = new ScoringData(_ml, 60);
        using StockScoringChain chain = new(_ml, ScoringData.FirstLogit(), data.View.Schema, "Pixels", "Value", ScoringTask.Regression, scale: 4, offset: -2);
        IDataView scored = chain.Transform(data.View);
        Same([.. data.View.GetColumn<float>("Value").Select(value => 4 * value - 2)], [.. scored.GetColumn<float>("Score")], 1);

        using StockScoringChain plain = Chain(ScoringData.FirstLogit(), data.View, "Value", ScoringTask.Regression);
        Assert.IsGreaterThan(0.999, _ml.Regression.Evaluate(plain.Transform(data.View), "Value").RSquared);
    }

    [TestMethod]
    public void VectorRegressionScoresAVector()
    {
        var data = new ScoringData(_ml, 20);
        using StockScoringChain chain = Chain(ScoringData.ClassModel(), data.View, "Values", ScoringTask.VectorRegression);
        Same(data.Logits, [.. chain.Transform(data.View).GetColumn<float[]>("Score").SelectMany(row => row)], ScoringData.Classes);
        Assert.AreEqual(Schemas.Describe(chain.GetOutputSchema(data.View.Schema)), Schemas.Describe(chain.Transform(data.View).Schema));
        Assert.ThrowsExactly<ArgumentException>(() => new StockScoringChain(_ml, ScoringData.ClassModel(), data.View.Schema, "Pixels", "Values", ScoringTask.VectorRegression, scale: 2));
    }

    [TestMethod]
    public void APredictionEngineScoresLikeTheBatches()
    {
        (IDataView data, StockScoringChain chain) = Multiclass("Name");
        using (chain)
        {
            using PredictionEngine<ScoringData.Row, Prediction> engine = _ml.Model.CreatePredictionEngine<ScoringData.Row, Prediction>(chain.Chain);
            float[][] batched = [.. chain.Transform(data).GetColumn<float[]>("Score")];
            ScoringData.Row[] rows = [.. _ml.Data.CreateEnumerable<ScoringData.Row>(data, reuseRowObject: false, ignoreMissingColumns: true)];
            for (int r = 0; r < rows.Length; r++)
            {
                Prediction prediction = engine.Predict(rows[r]);
                Same(batched[r], prediction.Score, ScoringData.Classes);
                Assert.AreEqual((uint)(Array.IndexOf(batched[r], batched[r].Max()) + 1), prediction.PredictedLabel);
            }
        }
    }

    [TestMethod]
    [DataRow(nameof(ScoringTask.Multiclass), OnnxPrecision.Half)]
    [DataRow(nameof(ScoringTask.Multiclass), OnnxPrecision.Single)]
    [DataRow(nameof(ScoringTask.Binary), OnnxPrecision.Half)]
    [DataRow(nameof(ScoringTask.Regression), OnnxPrecision.Half)]
    [DataRow(nameof(ScoringTask.VectorRegression), OnnxPrecision.Half)]
    public void ASavedModelIsStockPartsWithTheSameSchemaAndScores(string taskName, OnnxPrecision precision)
    {
        var task = Enum.Parse<ScoringTask>(taskName);
        IDataView data = Keyed("Name");
        using StockScoringChain chain = Chain(ModelFor(task, precision), data, LabelFor(task), task);
        using var zip = new MemoryStream();
        _ml.Model.Save(chain.Chain, data.Schema, zip);
        foreach (byte[] entry in Entries(zip.ToArray()))
            Assert.IsFalse(entry.AsSpan().IndexOf("Microsoft.ML.MixedPrecision,"u8) >= 0, "The saved model names this assembly.");

        ITransformer reloaded = new MLContext().Model.Load(zip, out DataViewSchema input);
        using var disposable = (IDisposable)reloaded;
        Assert.AreEqual(Schemas.Describe(data.Schema), Schemas.Describe(input));
        IDataView expected = chain.Chain.Transform(data), actual = reloaded.Transform(data);
        Assert.AreEqual(Schemas.Describe(expected.Schema), Schemas.Describe(actual.Schema));
        CollectionAssert.AreEqual(Scores(expected), Scores(actual));
    }

    [TestMethod]
    [DataRow(nameof(ScoringTask.Multiclass))]
    [DataRow(nameof(ScoringTask.Binary))]
    [DataRow(nameof(ScoringTask.Regression))]
    [DataRow(nameof(ScoringTask.VectorRegression))]
    public void BatchesScoreLikeTheStockChain(string taskName)
    {
        var task = Enum.Parse<ScoringTask>(taskName);
        IDataView data = Keyed("Name", rows: 300);
        using StockScoringChain chain = Chain(ModelFor(task, OnnxPrecision.Single), data, LabelFor(task), task);
        IDataView batched = chain.Transform(data), stock = chain.Chain.Transform(data);
        Assert.AreEqual(Schemas.Describe(stock.Schema), Schemas.Describe(batched.Schema));
        Assert.AreEqual(Schemas.Describe(stock.Schema), Schemas.Describe(chain.GetOutputSchema(data.Schema)));
        Same(Scores(stock), Scores(batched), 1);
    }

    [TestMethod]
    public void AFeatureColumnMayHaveAnyName()
    {
        foreach (string name in (string[])["Score", "features", "output", "linear", "my pixels/µ", "x.output"])
        {
            IDataView data = new ScoringData(_ml, 20).View;
            data = _ml.Transforms.CopyColumns(name, "Pixels").Fit(data).Transform(data);
            using StockScoringChain chain = new(_ml, ScoringData.FirstLogit(), data.Schema, name, "Value", ScoringTask.Regression);
            using var zip = new MemoryStream();
            _ml.Model.Save(chain.Chain, data.Schema, zip);
            ITransformer reloaded = _ml.Model.Load(zip, out _);
            Same([.. data.GetColumn<float>("Value")], [.. reloaded.Transform(data).GetColumn<float>("Score")], 1);
            Same([.. data.GetColumn<float>("Value")], [.. chain.Transform(data).GetColumn<float>("Score")], 1);
            (reloaded as IDisposable)?.Dispose();
        }
    }

    [TestMethod]
    public void OnlyAVectorOutputNeedsTheNameScoreForItself()
    {
        IDataView data = new ScoringData(_ml, 5).View;
        data = _ml.Transforms.CopyColumns("Score", "Pixels").Fit(data).Transform(data);
        var e = Assert.ThrowsExactly<ArgumentException>(() => new StockScoringChain(_ml, ScoringData.ClassModel(), data.Schema, "Score", "Values", ScoringTask.VectorRegression));
        StringAssert.Contains(e.Message, "rename it");
    }

    [TestMethod]
    public void AGpuThatIsNotThereIsOneClearErrorOrTheCpu()
    {
        const int Absent = 99;
        var data = new ScoringData(_ml, 5);
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => new StockScoringChain(_ml, ScoringData.FirstLogit(), data.View.Schema, "Pixels", "Value", ScoringTask.Regression, gpuDeviceId: Absent));
        StringAssert.Contains(e.Message, "GPU 99");
        StringAssert.Contains(e.Message, "FallbackToCpu");

        using StockScoringChain chain = new(_ml, ScoringData.FirstLogit(), data.View.Schema, "Pixels", "Value", ScoringTask.Regression, gpuDeviceId: Absent, fallbackToCpu: true);
        Same([.. data.View.GetColumn<float>("Value")], Scores(chain.Transform(data.View)), 1);
        Same([.. data.View.GetColumn<float>("Value")], Scores(chain.Chain.Transform(data.View)), 1);
    }

    [TestMethod]
    public void InputThatDoesNotFitIsNamed()
    {
        IDataView data = new ScoringData(_ml, 5).View;
        using StockScoringChain chain = Chain(ScoringData.FirstLogit(), data, "Value", ScoringTask.Regression);
        IDataView without = _ml.Transforms.DropColumns("Pixels").Fit(data).Transform(data);
        IDataView twice = _ml.Transforms.Concatenate("Pixels", "Pixels", "Pixels").Fit(data).Transform(data); // ML.NET's own check lets a multiple pass
        IDataView text = _ml.Transforms.CopyColumns("Pixels", "Name").Fit(data).Transform(data);
        foreach ((IDataView wrong, string got) in ((IDataView, string)[])[(without, "not found"), (twice, "Vector<Single, 8>"), (text, "String")])
        {
            foreach (Action call in (Action[])[() => chain.Transform(wrong), () => chain.GetOutputSchema(wrong.Schema), () => chain.GetRowToRowMapper(wrong.Schema)])
            {
                var e = Assert.ThrowsExactly<ArgumentOutOfRangeException>(call);
                StringAssert.Contains(e.Message, "'Pixels'");
                StringAssert.Contains(e.Message, got);
            }
        }
    }

    [TestMethod]
    [DataRow(nameof(ScoringTask.Binary))]
    [DataRow(nameof(ScoringTask.Regression))]
    [DataRow(nameof(ScoringTask.Multiclass))]
    public void ANetworkThatDoesNotFitTheTaskIsRefused(string taskName)
    {
        var task = Enum.Parse<ScoringTask>(taskName);
        IDataView data = Keyed("Name");
        OnnxModel wrong = task == ScoringTask.Multiclass ? ScoringData.FirstLogit() : ScoringData.ClassModel();
        var e = Assert.ThrowsExactly<ArgumentException>(() => Chain(wrong, data, LabelFor(task), task));
        StringAssert.Contains(e.Message, $"got {wrong.Columns}");
    }

    [TestMethod]
    [DataRow("Name", "String")]
    [DataRow("absent", "no such column")]
    [DataRow("Two", "Key<UInt32, 0-1>")]
    public void ALabelThatDoesNotFitTheNetworkIsNamed(string label, string got)
    {
        IDataView data = new ScoringData(_ml, 20).View;
        data = _ml.Transforms.Conversion.MapValueToKey("Two", "IsFirst").Fit(data).Transform(data);
        var e = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Chain(ScoringData.ClassModel(), data, label, ScoringTask.Multiclass));
        StringAssert.Contains(e.Message, $"'{label}': expected a key with 3 values");
        StringAssert.Contains(e.Message, got);
    }

    [TestMethod]
    public void DisposingRemovesTheTemporaryFileAndEndsUse()
    {
        IDataView data = new ScoringData(_ml, 5).View;
        string[] Present() => Directory.GetFiles(Path.GetTempPath(), "MixedPrecision.*.onnx");
        string[] before = Present();
        StockScoringChain chain = Chain(ScoringData.FirstLogit(), data, "Value", ScoringTask.Regression);
        string[] added = [.. Present().Except(before)];
        Assert.IsNotEmpty(added);
        _ = Scores(chain.Transform(data));
        chain.Dispose();
        chain.Dispose();
        Assert.IsTrue(added.Any(file => !File.Exists(file)));
        Assert.ThrowsExactly<ObjectDisposedException>(() => chain.Transform(data));
        Assert.ThrowsExactly<ObjectDisposedException>(() => chain.GetRowToRowMapper(data.Schema));
    }

    internal static float[] Scores(IDataView scored) =>
        scored.Schema["Score"].Type is VectorDataViewType ? [.. scored.GetColumn<float[]>("Score").SelectMany(row => row)] : [.. scored.GetColumn<float>("Score")];

    internal static OnnxModel ModelFor(ScoringTask task, OnnxPrecision precision) =>
        task is ScoringTask.Multiclass or ScoringTask.VectorRegression ? ScoringData.ClassModel(precision) : ScoringData.FirstLogit(precision);

    internal static string LabelFor(ScoringTask task) => task switch
    {
        ScoringTask.Binary => "IsFirst",
        ScoringTask.Multiclass => "Label",
        ScoringTask.Regression => "Value",
        _ => "Values",
    };

    private StockScoringChain Chain(OnnxModel model, IDataView data, string label, ScoringTask task) => new(_ml, model, data.Schema, "Pixels", label, task);

    private IDataView Keyed(string labels, int rows = 60)
    {
        IDataView data = new ScoringData(_ml, rows).View;
        return _ml.Transforms.Conversion.MapValueToKey("Label", labels).Fit(data).Transform(data);
    }

    /// <summary>The network's columns in the order of the label's keys, which is that of first appearance.</summary>
    private (IDataView Data, StockScoringChain Chain) Multiclass(string labels)
    {
        IDataView data = Keyed(labels);
        int[] order = [.. data.GetColumn<int>("Code").Distinct().Select(code => code / 10)];
        float[] weights = [.. Enumerable.Range(0, ScoringData.Features).SelectMany(f => order.Select(c => ScoringData.Weights[f * ScoringData.Classes + c]))];
        return (data, Chain(LinearModel.Build(OnnxPrecision.Single, weights, [.. order.Select(c => ScoringData.Bias[c])]), data, "Label", ScoringTask.Multiclass));
    }

    private static void AssertSchema(string expected, StockScoringChain chain, IDataView data)
    {
        Assert.AreEqual(expected, Schemas.Describe(chain.Transform(data).Schema));
        Assert.AreEqual(expected, Schemas.Describe(chain.Chain.Transform(data).Schema));
        Assert.AreEqual(expected, Schemas.Describe(chain.GetOutputSchema(data.Schema)));
    }

    private static void Same(float[] expected, float[] actual, int columns) =>
        OnnxCheck.Compare(new OnnxComparison("Score", expected, actual, columns, SinglePrecision));

    private static List<byte[]> Entries(byte[] zip)
    {
        var entries = new List<byte[]>();
        using var archive = new System.IO.Compression.ZipArchive(new MemoryStream(zip));
        foreach (System.IO.Compression.ZipArchiveEntry entry in archive.Entries)
        {
            using var content = new MemoryStream();
            using Stream stream = entry.Open();
            stream.CopyTo(content);
            entries.Add(content.ToArray());
        }
        return entries;
    }

    private sealed class Prediction
    {
        public uint PredictedLabel { get; set; }
        public float[] Score { get; set; } = [];
    }
}
