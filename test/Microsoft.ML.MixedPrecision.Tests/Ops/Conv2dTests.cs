namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class Conv2dTests
{
    /// <summary>Size 1, primes, strides, dilation, padding, rectangles, groups, depthwise.</summary>
    private static readonly Conv2dGeometry[] s_geometries =
    [
        new(2, 1, 1, 1, 1, new(1, 1, 0, 1), Groups: 1),
        new(2, 5, 4, 3, 5, new(3, 1, 1, 1), Groups: 1),
        new(1, 7, 5, 1, 3, new(3, 1, 0, 1), Groups: 1),
        new(2, 5, 7, 2, 3, new(3, 2, 1, 1), Groups: 1),
        new(1, 5, 6, 4, 6, new(new(2, 3), new(2, 1), new(1, 2), new(1, 2)), Groups: 2),
        new(2, 4, 5, 3, 3, new(3, 1, 1, 1), Groups: 3),
        new(1, 4, 4, 2, 4, new(2, 2, 0, 1), Groups: 2),
    ];

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var g in s_geometries)
            OpCheck.Run(row.Create(), Network(g), v => Reference(g with { Batch = v.Batch }, v.Input, v.Parameters[0], v.Parameters[1]), g.Batch);
    }

    [TestMethod]
    public void Padding_rows_change_nothing()
    {
        var g = s_geometries[1] with { Batch = 4 };
        OpCheck.Run(new CpuBackend(Precision.Mixed), Network(g), v => Reference(g with { Batch = v.Batch }, v.Input, v.Parameters[0], v.Parameters[1]), g.Batch, rows: 2);
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Exports(Precision precision)
    {
        foreach (var g in s_geometries) ExportHarness.Run(new CpuBackend(precision), Network(g).Flatten());
    }

    [TestMethod]
    public void Says_what_does_not_fit()
    {
        var image = MixedPrecision.Network.Image(4, 4, 3);
        Message("Conv2d 'c': expected a kernel that fits the input 4x4x3 with padding 0, got 5 with dilation 1; use a smaller kernel or more padding.", () => image.Conv2d(2, 5, name: "c"));
        Message("Conv2d 'c': expected channels and filters that 2 groups divide, got 3 channels and 4 filters; choose groups that divide both.", () => image.Conv2d(4, 3, groups: 2, name: "c"));
        Message("Conv2d 'c': expected an image [height, width, channels], got a vector 8; start from Network.Image(...), or put Reshape(height, width, channels) before it.",
            () => MixedPrecision.Network.Vector(8).Conv2d(4, 3, name: "c"));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => image.Conv2d(0, 3));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => image.Conv2d(1, 0));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => image.Conv2d(1, 3, stride: 0));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => image.Conv2d(1, 3, padding: -1));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => image.Conv2d(1, 3, dilation: 0));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => image.Conv2d(1, 3, groups: 0));

        static void Message(string expected, Func<Network> write) => Assert.AreEqual(expected, Assert.ThrowsExactly<ArgumentException>(() => write()).Message);
    }

    [TestMethod]
    public void Has_the_shapes_and_the_defaults_of_PyTorch()
    {
        var y = MixedPrecision.Network.Image(28, 28, 1).Conv2d(32, 3);
        Assert.AreEqual(Shape.Image(26, 26, 32), y.Shape);
        Assert.AreEqual(32 * 9 + 32, y.ParameterCount);
        Assert.AreEqual(Shape.Image(5, 3, 2), MixedPrecision.Network.Image(9, 7, 4).Conv2d(2, new Size2d(3, 2), stride: 2, padding: new Size2d(1, 0), dilation: 1).Shape);
    }

    private static Network Network(Conv2dGeometry g) => MixedPrecision.Network.Image(g.Height, g.Width, g.Channels, PixelOrder.Interleaved)
        .Conv2d(g.Filters, g.Window.Kernel, g.Window.Stride, g.Window.Padding, g.Window.Dilation, g.Groups);

    internal static double[] Reference(Conv2dGeometry g, double[] x, double[] w, double[] b)
    {
        var y = new double[g.OutPixels * g.Filters];
        int channels = g.GroupChannels, filters = g.GroupFilters;
        for (int i = 0; i < y.Length; i++)
        {
            int f = i % g.Filters, ox = i / g.Filters % g.OutWidth, oy = i / g.Filters / g.OutWidth % g.OutHeight, n = i / g.Filters / g.OutWidth / g.OutHeight, group = f / filters;
            double sum = b[f];
            for (int ky = 0; ky < g.KernelHeight; ky++)
            {
                for (int kx = 0; kx < g.KernelWidth; kx++)
                {
                    int row = oy * g.Window.Stride.Height - g.Window.Padding.Height + ky * g.Window.Dilation.Height;
                    int column = ox * g.Window.Stride.Width - g.Window.Padding.Width + kx * g.Window.Dilation.Width;
                    if (row < 0 || column < 0 || row >= g.Height || column >= g.Width) continue;
                    for (int c = 0; c < channels; c++)
                        sum += x[((n * g.Height + row) * g.Width + column) * g.Channels + group * channels + c]
                            * w[(((group * g.KernelHeight + ky) * g.KernelWidth + kx) * channels + c) * filters + f % filters];
                }
            }
            y[i] = sum;
        }
        return y;
    }
}
