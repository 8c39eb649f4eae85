using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class AvgPool2dForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(y.Length, Run<T, TStorage>,
        new Arguments<T>(gpu.View<T>(x), gpu.View<T>(y), PoolGeometry.Of(x, y, window), countIncludePad ? 1 : 0));

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<T> Y, PoolGeometry Geometry, int CountPadding) where T : unmanaged;

    /// <summary>One thread for each output element.</summary>
    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        var g = a.Geometry;
        int pixel = i / g.Channels, c = i - pixel * g.Channels;
        int line = pixel / g.OutWidth, ox = pixel - line * g.OutWidth;
        int n = line / g.OutHeight, oy = line - n * g.OutHeight;
        int top = oy * g.StrideY - g.PaddingY, left = ox * g.StrideX - g.PaddingX;
        float sum = 0f;
        for (int row = Math.Max(top, 0); row < Math.Min(top + g.KernelY, g.Height); row++)
            for (int column = Math.Max(left, 0); column < Math.Min(left + g.KernelX, g.Width); column++)
                sum += TStorage.Load(a.X[((n * g.Height + row) * g.Width + column) * g.Channels + c]);
        a.Y[i] = TStorage.Store(sum / g.Divisor(oy, ox, a.CountPadding));
    }
}

internal sealed partial class AvgPool2dBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(dx.Length, Run<T, TStorage>,
        new Arguments<T>(gpu.View<T>(dy), gpu.View<T>(dx), PoolGeometry.Of(dx, dy, window), countIncludePad ? 1 : 0));

    internal readonly record struct Arguments<T>(ArrayView<T> OutputGradient, ArrayView<T> InputGradient, PoolGeometry Geometry, int CountPadding) where T : unmanaged;

    /// <summary>One thread for each input element.</summary>
    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        var g = a.Geometry;
        int pixel = i / g.Channels, c = i - pixel * g.Channels;
        int line = pixel / g.Width, column = pixel - line * g.Width;
        int n = line / g.Height, row = line - n * g.Height;
        float sum = 0f;
        for (int oy = g.FirstRow(row); oy < g.EndRow(row); oy++)
            for (int ox = g.FirstColumn(column); ox < g.EndColumn(column); ox++)
                sum += TStorage.Load(a.OutputGradient[((n * g.OutHeight + oy) * g.OutWidth + ox) * g.Channels + c]) / g.Divisor(oy, ox, a.CountPadding);
        a.InputGradient[i] = TStorage.Store(sum);
    }
}
