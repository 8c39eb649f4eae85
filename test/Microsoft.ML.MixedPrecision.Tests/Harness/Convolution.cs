namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The convolution by its definition: loops that know nothing of operands, groups of columns or tiles.</summary>
internal static class Convolution
{
    /// <summary>Every product that a convolution sums: y[Output] += x[Image] * w[Weight]. For each of the three, in the order of the matrix product that sums it.</summary>
    public static IEnumerable<(int Image, int Weight, int Output)> Terms(Conv2dGeometry g)
    {
        var w = g.Window;
        for (int n = 0; n < g.Batch; n++)
            for (int oy = 0; oy < g.OutHeight; oy++)
                for (int ox = 0; ox < g.OutWidth; ox++)
                    for (int f = 0; f < g.Filters; f++)
                        for (int kh = 0; kh < g.KernelHeight; kh++)
                            for (int kw = 0; kw < g.KernelWidth; kw++)
                                for (int c = 0; c < g.GroupChannels; c++)
                                {
                                    int y = oy * w.Stride.Height - w.Padding.Height + kh * w.Dilation.Height;
                                    int x = ox * w.Stride.Width - w.Padding.Width + kw * w.Dilation.Width;
                                    if (y < 0 || y >= g.Height || x < 0 || x >= g.Width) continue;
                                    int group = f / g.GroupFilters;
                                    yield return (
                                        ((n * g.Height + y) * g.Width + x) * g.Channels + group * g.GroupChannels + c,
                                        (((group * g.KernelHeight + kh) * g.KernelWidth + kw) * g.GroupChannels + c) * g.GroupFilters + f % g.GroupFilters,
                                        ((n * g.OutHeight + oy) * g.OutWidth + ox) * g.Filters + f);
                                }
    }
}
