using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class MaxPool2dForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForChannels(y, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>,
        new Arguments<T>(gpu.Vectors<T>(x), gpu.Vectors<T>(y), PoolGeometry.Of(x, y, window)));

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<T> Y, PoolGeometry Geometry) where T : unmanaged;

    /// <summary>One thread for some channels of each output pixel.</summary>
    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var g = a.Geometry;
        int across = g.Channels >> TVector.Shift, pixel = i / across, c = (i - pixel * across) * TVector.Width;
        int line = pixel / g.OutWidth, ox = pixel - line * g.OutWidth;
        int n = line / g.OutHeight, oy = line - n * g.OutHeight;
        int top = oy * g.StrideY - g.PaddingY, left = ox * g.StrideX - g.PaddingX;
        var max = TVector.All(float.NegativeInfinity);
        for (int row = Math.Max(top, 0); row < Math.Min(top + g.KernelY, g.Height); row++)
            for (int column = Math.Max(left, 0); column < Math.Min(left + g.KernelX, g.Width); column++)
                max = TVector.Map(new Larger(), max, TVector.Load<T, TStorage>(a.X, ((n * g.Height + row) * g.Width + column) * g.Channels + c));
        TVector.Store<T, TStorage>(a.Y, pixel * g.Channels + c, max);
    }

    internal readonly struct Larger : IGpuFunction
    {
        public float Apply(float x, float y) => x >= y || float.IsNaN(x) ? x : y;
    }
}

internal sealed partial class MaxPool2dBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var user = new GpuUser<T, TStorage>(gpu, this);
        return _next is null ? user.With(new Unchanged()) : _next.Give<T, TStorage>(gpu, user);
    }

    private sealed class GpuUser<T, TStorage>(IlgpuBackend gpu, MaxPool2dBackward kernel) : IGpuElementUser where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TElement>(TElement element) where TElement : struct, IGpuElement => kernel.Bind<T, TStorage, TElement>(gpu, element);
    }

    private Action Bind<T, TStorage, TElement>(IlgpuBackend gpu, TElement element) where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement =>
        gpu.ForChannels(dx, Run<T, TStorage, Vector8, TElement>, Run<T, TStorage, Vector1, TElement>,
            new Arguments<T, TElement>(gpu.Vectors<T>(x), gpu.Vectors<T>(y), gpu.Vectors<T>(dy), gpu.Vectors<T>(dx), PoolGeometry.Of(x, y, window), element));

    internal readonly record struct Arguments<T, TElement>(
        ArrayView<T> X, ArrayView<T> Y, ArrayView<T> OutputGradient, ArrayView<T> InputGradient, PoolGeometry Geometry, TElement Element) where T : unmanaged where TElement : struct, IGpuElement;

    /// <summary>One thread for some channels of each input pixel gathers from the windows that see it, in their order.</summary>
    private static void Run<T, TStorage, TVector, TElement>(Index1D i, Arguments<T, TElement> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> where TElement : struct, IGpuElement
    {
        var g = a.Geometry;
        int across = g.Channels >> TVector.Shift, pixel = i / across, c = (i - pixel * across) * TVector.Width;
        int line = pixel / g.Width, column = pixel - line * g.Width;
        int n = line / g.Height, row = line - n * g.Height, place = pixel * g.Channels + c;
        TVector value = TVector.Load<T, TStorage>(a.X, place), sum = TVector.All(0f);
        for (int oy = g.FirstRow(row); oy < g.EndRow(row); oy++)
        {
            for (int ox = g.FirstColumn(column); ox < g.EndColumn(column); ox++)
            {
                int o = ((n * g.OutHeight + oy) * g.OutWidth + ox) * g.Channels + c;
                var max = TVector.Load<T, TStorage>(a.Y, o);
                var wins = TVector.Map(new Winner(), value, max);
                if (TVector.Max(wins) == 0f) continue;
                int top = Math.Max(oy * g.StrideY - g.PaddingY, 0), left = Math.Max(ox * g.StrideX - g.PaddingX, 0);
                int right = Math.Min(ox * g.StrideX - g.PaddingX + g.KernelX, g.Width);
                // Of equal pixels the first takes the gradient.
                for (int r = top; r <= row; r++)
                {
                    int stop = r == row ? column : right;
                    for (int q = left; q < stop; q++)
                        wins = TVector.Map(new Unless(), wins, TVector.Map(new Winner(), TVector.Load<T, TStorage>(a.X, ((n * g.Height + r) * g.Width + q) * g.Channels + c), max));
                }
                sum += TVector.Map(new Where(), wins, TVector.Load<T, TStorage>(a.OutputGradient, o));
            }
        }
        TVector.Store<T, TStorage>(a.InputGradient, place, a.Element.Apply(sum, place));
    }

    /// <summary>1 where x is the maximum y, else 0.</summary>
    internal readonly struct Winner : IGpuFunction
    {
        public float Apply(float x, float y) => x == y || (float.IsNaN(x) && float.IsNaN(y)) ? 1f : 0f;
    }

    /// <summary>x, but 0 where y is 1.</summary>
    internal readonly struct Unless : IGpuFunction
    {
        public float Apply(float x, float y) => y != 0f ? 0f : x;
    }

    /// <summary>y where x is 1, else 0; no product, because y may be infinite.</summary>
    internal readonly struct Where : IGpuFunction
    {
        public float Apply(float x, float y) => x != 0f ? y : 0f;
    }
}
