namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class AvgPool2dTests
{
    private static readonly (int H, int W, int C, Size2d Kernel, Size2d Stride, Size2d Padding, bool CountPadding)[] s_cases =
    [
        (1, 1, 1, 1, 1, 0, true), (4, 6, 3, 2, 2, 0, true), (5, 7, 17, 2, 2, 0, true), (5, 5, 2, 3, 2, 1, true), (5, 5, 2, 3, 2, 1, false), (6, 5, 1, new(3, 2), new(2, 3), new(1, 0), false),
        (7, 8, 3, 2, 3, 0, true), (6, 5, 17, new(1, 2), new(2, 3), 0, false),
    ];

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var (h, w, c, kernel, stride, padding, count) in s_cases)
            OpCheck.Run(row.Create(), Network.Image(h, w, c, PixelOrder.Interleaved).AvgPool2d(kernel, stride, padding, count), v => Reference(v, h, w, c, Window2d.Of(kernel, stride, padding, 1), count), batch: 2);
    }

    [TestMethod]
    public void Exports()
    {
        foreach (var (h, w, c, kernel, stride, padding, count) in s_cases)
            ExportHarness.Run(new CpuBackend(Precision.Mixed), Network.Image(h, w, c).AvgPool2d(kernel, stride, padding, count).Flatten());
    }

    [TestMethod]
    public void Says_what_does_not_fit()
    {
        var e = Assert.ThrowsExactly<ArgumentException>(() => Network.Image(2, 2, 1).AvgPool2d(3, name: "p"));
        Assert.AreEqual("AvgPool2d 'p': expected a kernel that fits the input 2x2x1 with padding 0, got 3; use a smaller kernel or more padding.", e.Message);
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Image(4, 4, 1).AvgPool2d(2, padding: 2));
    }

    private static double[] Reference(OpValues v, int h, int w, int c, Window2d window, bool count)
    {
        int oh = window.OutHeight(h), ow = window.OutWidth(w);
        var y = new double[v.Batch * oh * ow * c];
        for (int i = 0; i < y.Length; i++)
        {
            int channel = i % c, ox = i / c % ow, oy = i / c / ow % oh, n = i / c / ow / oh, inside = 0;
            double sum = 0;
            for (int ky = 0; ky < window.Kernel.Height; ky++)
            {
                for (int kx = 0; kx < window.Kernel.Width; kx++)
                {
                    int row = oy * window.Stride.Height - window.Padding.Height + ky, column = ox * window.Stride.Width - window.Padding.Width + kx;
                    if (row < 0 || column < 0 || row >= h || column >= w) continue;
                    inside++;
                    sum += v.Input[((n * h + row) * w + column) * c + channel];
                }
            }
            y[i] = sum / (count ? window.Kernel.Height * window.Kernel.Width : inside);
        }
        return y;
    }
}
