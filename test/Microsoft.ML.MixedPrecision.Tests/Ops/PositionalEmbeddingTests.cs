namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class PositionalEmbeddingTests
{
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var (length, features, batch, rows) in new[] { (1, 1, 2, 2), (3, 5, 3, 2), (4, 8, 2, 2), (17, 1, 2, 2) })
        {
            OpCheck.Run(row.Create(), Network.Sequence(length, features).PositionalEmbedding(),
                v => [.. v.Input.Chunk(length * features).SelectMany(x => x.Zip(v.Parameters[0], (a, b) => a + b))], batch, roundings: 2, rows: rows);
        }
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Exports(Precision precision) => ExportHarness.Run(new CpuBackend(precision), Network.Sequence(3, 4).PositionalEmbedding());

    [TestMethod]
    public void Starts_normal_with_a_deviation_of_two_hundredths()
    {
        var parameter = Network.Sequence(100, 100).PositionalEmbedding().Node.Op!.Parameters([Shape.Sequence(100, 100)]).Single();
        float[] values = parameter.Initializer.Create(parameter.Length, new CounterRandom(1, 2));
        double mean = values.Average(), deviation = Math.Sqrt(values.Average(v => (v - mean) * (v - mean)));
        Assert.AreEqual(0, mean, 0.02 * 4 / 100); // four standard errors of 10,000 values
        Assert.AreEqual(0.02, deviation, 0.02 * 4 / Math.Sqrt(20_000));
        Assert.AreEqual(0.683, values.Count(v => Math.Abs(v) < 0.02) / 1e4, 0.02);
    }

    [TestMethod]
    public void Says_what_does_not_fit() => Assert.AreEqual(
        "PositionalEmbedding 'p': expected a sequence [length, features], got a vector 8; start from Network.Sequence(...), or put Reshape(length, features) before it.",
        Assert.ThrowsExactly<ArgumentException>(() => Network.Vector(8).PositionalEmbedding("p")).Message);
}
