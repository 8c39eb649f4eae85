using Microsoft.ML.Data;
using Microsoft.ML.Transforms;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Numbers and tokens, from two columns of ML.NET's pipeline to a saved model.</summary>
[TestClass]
public sealed class TableTests
{
    private const int Numbers = 2, Vocabulary = 4; // three woods

    private readonly MLContext _ml = new(seed: 1);

    /// <summary>A label that neither the number nor the wood tells alone.</summary>
    [TestMethod]
    [DataRow(Precision.Mixed, "cpu", false)]
    [DataRow(Precision.Mixed, "cpu", true)]
    [DataRow(Precision.Single, "cpu", false)]
    [DataRow(Precision.Mixed, "simulator", false)]
    public void Learns_from_both_and_is_saved_with_both(Precision precision, string device, bool streamed)
    {
        var data = _ml.Data.LoadFromEnumerable(Boards(160));
        var pipeline = Keys().Append(_ml.BinaryClassification.Trainers.MixedPrecision(Options(o =>
        {
            (o.Precision, o.Device) = (precision, device);
            if (streamed) o.CacheBytes = 1;
        })));
        Assert.AreSequenceEqual(["Score", "Probability", "PredictedLabel"], pipeline.GetOutputSchema(TrainerData.Shape(data)).Select(c => c.Name).TakeLast(3));
        var model = pipeline.Fit(data);
        Assert.AreEqual(1.0, _ml.BinaryClassification.Evaluate(model.Transform(data)).Accuracy);

        using var file = new MemoryStream();
        _ml.Model.Save(model, data.Schema, file);
        file.Position = 0;
        using var engine = _ml.Model.CreatePredictionEngine<Board, Answer>(new MLContext().Model.Load(file, out _));
        foreach (var board in Boards(30)) Assert.AreEqual(board.Label, engine.Predict(board).PredictedLabel);
        foreach (bool other in (bool[])[true, false]) engine.Predict(new Board { Wood = "never heard of", Features = [other ? 1 : -1, 0] }); // as token 0
    }

    [TestMethod]
    public void Says_what_is_wrong_with_the_tokens()
    {
        var data = Keys().Fit(_ml.Data.LoadFromEnumerable(Boards(30))).Transform(_ml.Data.LoadFromEnumerable(Boards(30)));
        Message("Token column 'Gone': expected a column of this name, got only 'Features', 'Wood', 'Label', 'Tokens'; name an existing column in the options, or add it to the data. (Parameter 'input')", o => o.TokenColumnName = "Gone");
        Message("Token column 'Wood': expected a vector of keys or UInt32 (tokens), got String; cut it into words with Transforms.Text.TokenizeIntoWords, and map those with Transforms.Conversion.MapValueToKey. (Parameter 'input')", o => o.TokenColumnName = "Wood");
        Message("Token column 'Tokens': expected keys of at most 2 values, got 3; make the vocabulary of the network 4, or keep fewer (maximumNumberOfKeys of MapValueToKey). (Parameter 'input')", o => o.Network = OfTable(Network.Table(Numbers, 1, 3)));
        Message("Features column 'Features': expected a vector of 5 Single, got a vector of 2; make numbers of Network.Table the number of values. (Parameter 'input')", o => o.Network = OfTable(Network.Table(5, 1, Vocabulary)));
        foreach (string name in (string[])["Gone", "Wood"])
        {
            StringAssert.StartsWith(Assert.ThrowsExactly<ArgumentOutOfRangeException>(() =>
                _ml.BinaryClassification.Trainers.MixedPrecision(Options(o => o.TokenColumnName = name)).GetOutputSchema(TrainerData.Shape(data))).Message, $"Token column '{name}': expected ");
        }
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => _ml.BinaryClassification.Trainers.MixedPrecision(Options(o => o.TokenColumnName = " ")));

        var numbers = _ml.Data.LoadFromEnumerable(new[] { new Numbered { Tokens = [1] }, new Numbered { Tokens = [7], Label = true } });
        Assert.AreEqual("Token column 'Tokens', row 1 (the first is 0): expected tokens up to 3, got 7, element 0; make the vocabulary of the network one more than the largest token, or tokens that are not in it 0.",
            Assert.ThrowsExactly<InvalidOperationException>(() => _ml.BinaryClassification.Trainers.MixedPrecision(Options()).Fit(numbers)).Message);

        using var model = _ml.BinaryClassification.Trainers.MixedPrecision(Options(o => o.Epochs = 1)).Fit(data);
        Assert.AreEqual("Token column 'Tokens' not found: expected a vector of 1 keys or UInt32, as in training; got the columns Features, Wood, Label. (Parameter 'schema')",
            Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => model.Transform(_ml.Data.LoadFromEnumerable(Boards(3)))).Message);

        void Message(string expected, Action<MixedPrecisionTrainer.Options> change) =>
            Assert.AreEqual(expected, Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => _ml.BinaryClassification.Trainers.MixedPrecision(Options(change)).Fit(data)).Message);
    }

    private static IEnumerable<Board> Boards(int count)
    {
        var random = new Random(3);
        string[] woods = ["ash", "birch", "cedar"];
        for (int i = 0; i < count; i++)
        {
            float thickness = random.NextSingle() < 0.5f ? -1 - random.NextSingle() : 1 + random.NextSingle();
            yield return new Board { Wood = woods[i % 3], Features = [thickness, random.NextSingle()], Label = thickness > 0 == (i % 3 == 1) };
        }
    }

    private EstimatorChain<ValueToKeyMappingTransformer> Keys() => _ml.Transforms.Concatenate("Tokens", nameof(Board.Wood)).Append(_ml.Transforms.Conversion.MapValueToKey("Tokens"));

    private static Network OfTable(TableInput table) => Network.Concat(table.Numbers, table.Tokens.Embedding(4).Flatten()).Linear(16).Relu();

    private static MixedPrecisionTrainer.Options Options(Action<MixedPrecisionTrainer.Options>? change = null) => TrainerData.Options(o =>
    {
        o.Network = OfTable(Network.Table(Numbers, 1, Vocabulary));
        (o.Optimizer, o.Epochs) = (new Adam(0.02f), 40);
        change?.Invoke(o);
    });

    private sealed class Board
    {
        [VectorType(Numbers)]
        public float[] Features { get; set; } = [];

        public string Wood { get; set; } = "";
        public bool Label { get; set; }
    }

    private sealed class Numbered
    {
        [VectorType(Numbers)]
        public float[] Features { get; set; } = [0, 1];

        [VectorType(1)]
        public uint[] Tokens { get; set; } = [];

        public bool Label { get; set; }
    }

    private sealed class Answer
    {
        public bool PredictedLabel { get; set; }
    }
}
