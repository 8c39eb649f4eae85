namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class LastTokenTests
{
    /// <summary>A text to the end, one that ends before it and has an unknown word within, and one without a word; whole vectors and not.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var (length, features) in ((int, int)[])[(1, 1), (5, 8), (7, 19)])
        {
            float[] input = new float[3 * length];
            for (int l = 0; l < length; l++) input[l] = 1 + l % 2;
            for (int l = 0; l < length - 1; l++) input[length + l] = l == 1 ? 0 : 2;
            var tokens = Network.Tokens(length, 3);
            OpCheck.Run(row.Create(), tokens.Embedding(features).LastToken(tokens), v => [.. v.Input.Chunk(length).SelectMany(text =>
                Enumerable.Range(0, features).Select(c => Array.FindLast(text, token => token != 0) is var token and not 0 ? v.Parameters[0][(int)token * features + c] : 0))], batch: 3, input: input);
        }
    }

    /// <summary>As the same text in a network of its own length.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void Behind_an_Lstm_it_is_the_state_at_the_end_of_the_text(BackendRow row)
    {
        float[] Output(Network network, params float[] text)
        {
            var options = new PlanOptions(1, row.Precision, new PlantedGradient(), new Sgd()) { KeepAll = true, Seed = 4 };
            using var session = new TrainingSession(PlanBuilder.Build(network, options), row.Create());
            var batch = new Batch(1, text.Length, network.Shape.Size) { RowCount = 1 };
            text.CopyTo(batch.Features, 0);
            batch.Weights[0] = 1;
            session.EvaluatePass(batch);
            float[] output = new float[network.Shape.Size];
            session.ReadOutput(output);
            return output;
        }
        var tokens = Network.Tokens(6, 9);
        CollectionAssert.AreEqual(Output(Network.Tokens(3, 9).Embedding(4).Lstm(5, returnSequence: false), 7, 2, 8), Output(tokens.Embedding(4).Lstm(5).LastToken(tokens), 7, 2, 8, 0, 0, 0));
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Exports(Precision precision)
    {
        var tokens = Network.Tokens(3, 2); // half of them 0: of 20 texts two or three are all 0
        ExportHarness.Run(new CpuBackend(precision), tokens.Embedding(5).LastToken(tokens), rows: 20);
    }

    [TestMethod]
    public void Says_what_does_not_fit()
    {
        var tokens = Network.Tokens(6, 5);
        Message("LastToken 'm': expected as many positions as the mask has tokens, 6, got 3; take the mask before layers that change their number, or pad those.", tokens.Embedding(2).MaxPool1d(2));
        Message("LastToken 'm': expected a sequence [length, features], got a vector 12; start from Network.Tokens(...).", tokens.Embedding(2).Flatten());
        Assert.ThrowsExactly<ArgumentNullException>(() => tokens.Embedding(2).LastToken(null!));

        void Message(string expected, Network network) => Assert.AreEqual(expected, Assert.ThrowsExactly<ArgumentException>(() => network.LastToken(tokens, "m")).Message);
    }
}
