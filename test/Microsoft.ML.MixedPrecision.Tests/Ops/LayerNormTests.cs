namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class LayerNormTests
{
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var (input, batch, rows) in new[]
        {
            (Network.Vector(5), 3, 3), (Network.Vector(16), 2, 2), (Network.Vector(17), 3, 3), (Network.Vector(33), 4, 2), (Network.Image(3, 2, 5, PixelOrder.Interleaved), 2, 2),
        })
        {
            OpCheck.Run(row.Create(), input.LayerNorm(), v => [.. v.Input.Chunk(input.Shape.Size).SelectMany(x =>
            {
                double mean = x.Average(), variance = x.Sum(e => (e - mean) * (e - mean)) / x.Length;
                return x.Select((e, i) => (e - mean) / Math.Sqrt(variance + 1e-5f) * v.Parameters[0][i] + v.Parameters[1][i]);
            })], batch, roundings: 6, rows: rows);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_mean_far_above_the_deviation_does_not_cancel(BackendRow row)
    {
        float[] input = [.. Enumerable.Range(0, 2 * 37).Select(i => 40f + i * 7 % 32 / 32f)];
        OpCheck.Run(row.Create(), Network.Vector(37).LayerNorm(), v => [.. v.Input.Chunk(37).SelectMany(x =>
        {
            double mean = x.Average(), variance = x.Sum(e => (e - mean) * (e - mean)) / x.Length;
            return x.Select((e, i) => (e - mean) / Math.Sqrt(variance + 1e-5f) * v.Parameters[0][i] + v.Parameters[1][i]);
        })], batch: 2, roundings: 6, input: input);
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Exports(Precision precision)
    {
        ExportHarness.Run(new CpuBackend(precision), Network.Vector(7).LayerNorm());
        ExportHarness.Run(new CpuBackend(precision), Network.Image(3, 4, 2).LayerNorm().Flatten());
    }

    [TestMethod]
    public void Has_the_defaults_of_PyTorch()
    {
        var parameters = Network.Vector(3).LayerNorm().Node.Op!.Parameters([Shape.Vector(3)]);
        CollectionAssert.AreEqual(new[] { 1f, 1f, 1f }, parameters[0].Initializer.Create(3, default));
        CollectionAssert.AreEqual(new[] { 0f, 0f, 0f }, parameters[1].Initializer.Create(3, default));
        Defaults.AssertEqual(nameof(Network.LayerNorm), ("eps", 1e-5f));
    }

    [TestMethod]
    public void Refuses_values_outside_their_range()
    {
        foreach (float eps in new[] { 0f, -1f, float.NaN }) Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Vector(2).LayerNorm(eps));
    }
}
