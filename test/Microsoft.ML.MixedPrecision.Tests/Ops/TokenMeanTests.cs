namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class TokenMeanTests
{
    /// <summary>Some, one and none of the positions have a token; whole vectors and not.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var (length, features) in ((int, int)[])[(1, 1), (4, 8), (7, 19)])
        {
            float[] input = [.. Enumerable.Range(0, 3 * length).Select(i => i < length ? 1 + i % 2 : i < 2 * length ? i % length == length / 2 ? 2 : 0 : 0f)];
            var tokens = Network.Tokens(length, 3);
            OpCheck.Run(row.Create(), tokens.Embedding(features).GlobalAvgPool1d(tokens), v => [.. v.Input.Chunk(length).SelectMany(example =>
                Enumerable.Range(0, features).Select(c => example.Where(token => token != 0).Select(token => v.Parameters[0][(int)token * features + c]).DefaultIfEmpty().Average()))], batch: 3, roundings: 4, input: input);
        }
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Exports(Precision precision)
    {
        var tokens = Network.Tokens(5, 2); // half of them 0
        ExportHarness.Run(new CpuBackend(precision), tokens.Embedding(3).GlobalAvgPool1d(tokens).Linear(2), rows: 8);
    }

    [TestMethod]
    public void Says_what_does_not_fit()
    {
        var tokens = Network.Tokens(6, 5);
        Message("GlobalAvgPool1d 'm': expected as many positions as the mask has tokens, 6, got 3; take the mask before layers that change their number, or pad those.", tokens.Embedding(2).MaxPool1d(2));
        Message("GlobalAvgPool1d 'm': expected a sequence [length, features], got a vector 12; start from Network.Tokens(...).", tokens.Embedding(2).Flatten());

        void Message(string expected, Network network) => Assert.AreEqual(expected, Assert.ThrowsExactly<ArgumentException>(() => network.GlobalAvgPool1d(tokens, "m")).Message);
    }
}
