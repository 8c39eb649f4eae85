using System.Runtime.InteropServices;
using Microsoft.ML.Data;
using Microsoft.ML.MixedPrecision.OnnxProto;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Columns of tokens, from ML.NET's pipeline to a saved model.</summary>
[TestClass]
public sealed class TokenTests
{
    private const int Length = 5, Vocabulary = 5000;

    /// <summary>Of tokens beyond 2,048 a half knows every second one only: what keeps or hands over features in halves takes one of these for the other.</summary>
    [TestMethod]
    [DataRow(Precision.Mixed, "cpu", false)]
    [DataRow(Precision.Mixed, "cpu", true)]
    [DataRow(Precision.Single, "cpu", false)]
    [DataRow(Precision.Mixed, "simulator", false)]
    [DataRow(Precision.Single, "simulator", false)]
    public void Tells_neighbours_apart_that_no_half_holds(Precision precision, string device, bool streamed)
    {
        var ml = new MLContext(seed: 1);
        var data = ml.Data.LoadFromEnumerable(Rows(128));
        using var model = ml.BinaryClassification.Trainers.MixedPrecision(Options(o =>
        {
            (o.Precision, o.Device) = (precision, device);
            if (streamed) o.CacheBytes = 1;
        })).Fit(data);
        Assert.AreEqual(1.0, ml.BinaryClassification.Evaluate(model.Transform(data)).Accuracy);
    }

    /// <summary>Vectors of a known size, of which the network reads fewer, all, or more than there are: in batches, and as a prediction engine has a saved model score them.</summary>
    [TestMethod]
    [DataRow(3)]
    [DataRow(Length)]
    [DataRow(8)]
    public void Reads_vectors_of_a_known_size(int length)
    {
        var ml = new MLContext(seed: 1);
        var data = ml.Data.LoadFromEnumerable(Rows(128));
        using var model = ml.BinaryClassification.Trainers.MixedPrecision(Options(o => o.Network = Network.Tokens(length, Vocabulary).Embedding(8).Flatten())).Fit(data);
        Assert.AreEqual(1.0, ml.BinaryClassification.Evaluate(model.Transform(data)).Accuracy);
        using var file = new MemoryStream();
        ml.Model.Save(model, data.Schema, file);
        file.Position = 0;
        using var engine = ml.Model.CreatePredictionEngine<Row, Answer>(new MLContext().Model.Load(file, out _));
        foreach (var row in Rows(20)) Assert.AreEqual(row.Label, engine.Predict(row).PredictedLabel);

        var unknown = ml.Transforms.Text.TokenizeIntoWords("Features", nameof(Text.Words)).Append(ml.Transforms.Conversion.MapValueToKey("Features"));
        var texts = ml.Data.LoadFromEnumerable(new[] { new Text { Words = "a b" } });
        Assert.AreEqual("Features column 'Features': expected a vector of 5 keys or UInt32, as in training, got Vector<Key<UInt32, 0-1>>. (Parameter 'schema')",
            Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => model.Transform(unknown.Fit(texts).Transform(texts))).Message);
    }

    /// <summary>All of it stock ML.NET but the trainer: texts of any number of words, also none, which is 0 tokens for ONNX Runtime. The saved model needs no code of this library.</summary>
    [TestMethod]
    public void Takes_texts_and_is_saved_with_what_cuts_them()
    {
        var ml = new MLContext(seed: 1);
        string[] words = ["alder", "beech", "cherry", "dogwood", "elm", "fir"];
        var random = new Random(2);
        Text[] texts = [.. Enumerable.Range(0, 300).Select(_ =>
        {
            string[] some = [.. Enumerable.Range(0, random.Next(9)).Select(_ => words[random.Next(words.Length)])];
            return new Text { Words = string.Join(' ', some), Label = some.Take(Length).Contains("elm") };
        })];
        var data = ml.Data.LoadFromEnumerable(texts);
        var trainer = ml.BinaryClassification.Trainers.MixedPrecision(Options(o => (o.Network, o.Epochs) = (Network.Tokens(Length, words.Length + 1).Embedding(8).MaxPool1d(Length).Flatten(), 20)));
        var pipeline = ml.Transforms.Text.TokenizeIntoWords("Features", nameof(Text.Words)).Append(ml.Transforms.Conversion.MapValueToKey("Features")).Append(trainer);
        Assert.AreSequenceEqual(["Score", "Probability", "PredictedLabel"], pipeline.GetOutputSchema(TrainerData.Shape(data)).Select(c => c.Name).Except([nameof(Text.Words), nameof(Text.Label), "Features"]));
        var model = pipeline.Fit(data);
        Assert.AreEqual(1.0, ml.BinaryClassification.Evaluate(model.Transform(data)).Accuracy);

        using var file = new MemoryStream();
        ml.Model.Save(model, data.Schema, file);
        file.Position = 0;
        var loaded = new MLContext().Model.Load(file, out _);
        using var engine = ml.Model.CreatePredictionEngine<Text, Answer>(loaded);
        bool HasElm(string text) => engine.Predict(new Text { Words = text }).PredictedLabel;
        Assert.IsTrue(HasElm("fir fir elm alder fir"));
        Assert.IsTrue(HasElm("elm"));
        Assert.IsFalse(HasElm("fir fir never-heard-of alder fir"));
        Assert.IsFalse(HasElm("fir fir fir fir fir elm")); // behind the length
        Assert.IsFalse(HasElm(""));
        // Row by row as in batches.
        CollectionAssert.AreEqual(texts.Take(50).Select(t => HasElm(t.Words)).ToArray(), texts.Take(50).Select(t => t.Label).ToArray());
    }

    /// <summary>Columns of categories, each a name: together a vector of names, and its keys.</summary>
    [TestMethod]
    public void Takes_categories()
    {
        var ml = new MLContext(seed: 1);
        string[] woods = ["ash", "birch", "cedar"], finishes = ["raw", "oiled"];
        var data = ml.Data.LoadFromEnumerable(Enumerable.Range(0, 120).Select(i => new Board { Wood = woods[i % 3], Finish = finishes[i / 3 % 2], Label = i % 3 == 1 && i / 3 % 2 == 0 }));
        var pipeline = ml.Transforms.Concatenate("Names", nameof(Board.Wood), nameof(Board.Finish)).Append(ml.Transforms.Conversion.MapValueToKey("Features", "Names"))
            .Append(ml.BinaryClassification.Trainers.MixedPrecision(Options(o => (o.Network, o.Epochs) = (Network.Tokens(2, 6).Embedding(8).Flatten().Linear(16).Relu(), 30))));
        Assert.AreEqual(1.0, ml.BinaryClassification.Evaluate(pipeline.Fit(data).Transform(data)).Accuracy);

        var one = ml.Transforms.Concatenate("Features", nameof(Board.Wood)).Append(ml.Transforms.Conversion.MapValueToKey("Features"))
            .Append(ml.BinaryClassification.Trainers.MixedPrecision(Options(o => o.Network = Network.Tokens(1, 4).Embedding(8).Flatten())));
        Assert.AreEqual(5 / 6.0, ml.BinaryClassification.Evaluate(one.Fit(data).Transform(data)).Accuracy, 1e-6);
    }

    [TestMethod]
    public void The_vector_of_token_0_stays_zero()
    {
        var ml = new MLContext(seed: 1);
        foreach (Optimizer optimizer in (Optimizer[])[new AdamW(0.01f), new Adam(0.01f) { WeightDecay = 0.1f }, new Sgd(0.1f, 0.9f) { WeightDecay = 0.1f }])
        {
            using var model = ml.BinaryClassification.Trainers.MixedPrecision(Options(o => (o.Optimizer, o.Epochs) = (optimizer, 2))).Fit(ml.Data.LoadFromEnumerable(Rows(64)));
            var node = ModelProto.Parser.ParseFrom(TrainerData.Onnx(model, OnnxPrecision.Single)).Graph.Node.Single(n => n.Name == "Embedding1.Weight");
            var table = MemoryMarshal.Cast<byte, float>(node.Attribute[0].T.RawData.Span).ToArray();
            Assert.IsTrue(table[..8].All(v => v == 0), $"{optimizer}");
            Assert.IsFalse(table[8..].All(v => v == 0));
        }
    }

    [TestMethod]
    public void Says_which_token_is_none()
    {
        var ml = new MLContext(seed: 1);
        Row[] rows = [.. Rows(64)];
        rows[23].Features[2] = Vocabulary;
        var message = Assert.ThrowsExactly<InvalidOperationException>(() => ml.BinaryClassification.Trainers.MixedPrecision(Options()).Fit(ml.Data.LoadFromEnumerable(rows))).Message;
        Assert.AreEqual("Features column 'Features', row 23 (the first is 0): expected tokens up to 4999, got 5000, element 2; make the vocabulary of the network one more than the largest token, or tokens that are not in it 0.", message);
    }

    [TestMethod]
    public void Says_which_column_fits()
    {
        var ml = new MLContext(seed: 1);
        var data = ml.Data.LoadFromEnumerable(new[] { new Text { Words = "a b c d e", Label = true } });
        var words = ml.Transforms.Text.TokenizeIntoWords("Cut", nameof(Text.Words)).Append(ml.Transforms.Conversion.MapValueToKey("Keys", "Cut")).Append(ml.Transforms.Conversion.MapValueToKey("Key", nameof(Text.Words)))
            .Append(ml.Transforms.Text.ProduceHashedWordBags("Numbers", nameof(Text.Words), numberOfBits: 2)).Fit(data).Transform(data);
        Message("Words", "a vector of keys or UInt32 (tokens), got String; cut it into words with Transforms.Text.TokenizeIntoWords, and map those with Transforms.Conversion.MapValueToKey");
        Message("Cut", "a vector of keys or UInt32 (tokens), got Vector<String>; map its words with Transforms.Conversion.MapValueToKey");
        Message("Key", "a vector of keys or UInt32 (tokens), got Key<UInt32, 0-0>; make a vector of what it was made of with Transforms.Concatenate, and map that with Transforms.Conversion.MapValueToKey");
        Message("Numbers", "a vector of keys or UInt32 (tokens), got Vector<Single, 4>; convert it with Transforms.Conversion.ConvertType to UInt32");
        Message("Keys", "keys of at most 4 values, got 5; make the vocabulary of the network 6, or keep fewer (maximumNumberOfKeys of MapValueToKey)");

        void Message(string column, string rest)
        {
            var trainer = ml.BinaryClassification.Trainers.MixedPrecision(Options(o => (o.FeatureColumnName, o.Network) = (column, Network.Tokens(Length, 5).Embedding(2).Flatten())));
            Assert.AreEqual($"Features column '{column}': expected {rest}. (Parameter 'input')", Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => trainer.Fit(words)).Message);
            if (column != "Keys") StringAssert.StartsWith(Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => trainer.GetOutputSchema(TrainerData.Shape(words))).Message, $"Features column '{column}': expected a vector of keys or UInt32 (tokens), got ");
        }
    }

    /// <summary>Labels say which of two neighbours is there.</summary>
    private static IEnumerable<Row> Rows(int count)
    {
        for (int i = 0; i < count; i++)
        {
            uint one = 4000u + 2 * ((uint)i / 2 % 16) + (uint)i % 2;
            yield return new Row { Features = [1, 0, one, 0, 2], Label = i % 2 == 1 };
        }
    }

    private static MixedPrecisionTrainer.Options Options(Action<MixedPrecisionTrainer.Options>? change = null) => TrainerData.Options(o =>
    {
        o.Network = Network.Tokens(Length, Vocabulary).Embedding(8).Flatten();
        (o.Optimizer, o.Epochs) = (new Adam(0.05f), 12);
        change?.Invoke(o);
    });

    private sealed class Row
    {
        [VectorType(Length)]
        public uint[] Features { get; set; } = [];

        public bool Label { get; set; }
    }

    private sealed class Text
    {
        public string Words { get; set; } = "";

        public bool Label { get; set; }
    }

    private sealed class Board
    {
        public string Wood { get; set; } = "";
        public string Finish { get; set; } = "";
        public bool Label { get; set; }
    }

    private sealed class Answer
    {
        public bool PredictedLabel { get; set; }
    }
}
