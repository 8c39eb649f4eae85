namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class GlobalAvgPool2dTests
{
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var (h, w, c) in new[] { (1, 1, 1), (3, 5, 2), (4, 4, 17) })
        {
            OpCheck.Run(row.Create(), Network.Image(h, w, c, PixelOrder.Interleaved).GlobalAvgPool2d(), v =>
            {
                var y = new double[v.Batch * c];
                for (int i = 0; i < v.Input.Length; i++) y[i / (h * w * c) * c + i % c] += v.Input[i] / (h * w);
                return y;
            });
        }
    }

    [TestMethod]
    public void Exports() => ExportHarness.Run(new CpuBackend(Precision.Mixed), Network.Image(3, 4, 5).GlobalAvgPool2d());

    [TestMethod]
    public void Refuses_a_vector()
    {
        var e = Assert.ThrowsExactly<ArgumentException>(() => Network.Vector(4).GlobalAvgPool2d("g"));
        Assert.AreEqual("GlobalAvgPool2d 'g': expected an image [height, width, channels], got a vector 4; put it before Flatten().", e.Message);
    }
}
