using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class AvgPool2dForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForChannels(y, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>,
        new Arguments<T>(gpu.Vectors<T>(x), gpu.Vectors<T>(y), PoolGeometry.Of(x, y, window), countIncludePad ? 1 : 0));

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<T> Y, PoolGeometry Geometry, int CountPadding) where T : unmanaged;

    /// <summary>One thread for some channels of each output pixel.</summary>
    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var g = a.Geometry;
        int across = g.Channels >> TVector.Shift, pixel = i / across, c = (i - pixel * across) * TVector.Width;
        int line = pixel / g.OutWidth, ox = pixel - line * g.OutWidth;
        int n = line / g.OutHeight, oy = line - n * g.OutHeight;
        int top = oy * g.StrideY - g.PaddingY, left = ox * g.StrideX - g.PaddingX;
        var sum = TVector.All(0f);
        for (int row = Math.Max(top, 0); row < Math.Min(top + g.KernelY, g.Height); row++)
            for (int column = Math.Max(left, 0); column < Math.Min(left + g.KernelX, g.Width); column++)
                sum += TVector.Load<T, TStorage>(a.X, ((n * g.Height + row) * g.Width + column) * g.Channels + c);
        TVector.Store<T, TStorage>(a.Y, pixel * g.Channels + c, sum * (1f / g.Divisor(oy, ox, a.CountPadding)));
    }
}

internal sealed partial class AvgPool2dBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForChannels(dx, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>,
        new Arguments<T>(gpu.Vectors<T>(dy), gpu.Vectors<T>(dx), PoolGeometry.Of(dx, dy, window), countIncludePad ? 1 : 0));

    internal readonly record struct Arguments<T>(ArrayView<T> OutputGradient, ArrayView<T> InputGradient, PoolGeometry Geometry, int CountPadding) where T : unmanaged;

    /// <summary>One thread for some channels of each input pixel.</summary>
    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var g = a.Geometry;
        int across = g.Channels >> TVector.Shift, pixel = i / across, c = (i - pixel * across) * TVector.Width;
        int line = pixel / g.Width, column = pixel - line * g.Width;
        int n = line / g.Height, row = line - n * g.Height;
        var sum = TVector.All(0f);
        for (int oy = g.FirstRow(row); oy < g.EndRow(row); oy++)
            for (int ox = g.FirstColumn(column); ox < g.EndColumn(column); ox++)
                sum += TVector.Load<T, TStorage>(a.OutputGradient, ((n * g.OutHeight + oy) * g.OutWidth + ox) * g.Channels + c) * (1f / g.Divisor(oy, ox, a.CountPadding));
        TVector.Store<T, TStorage>(a.InputGradient, pixel * g.Channels + c, sum);
    }
}
