using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class MaxPool2dForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForChannels(y, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>,
        new Arguments<T>(gpu.Vectors<T>(x), gpu.Vectors<T>(y), gpu.Vectors<T>(winners ?? y), winners is null ? 0 : 1, PoolGeometry.Of(x, y, window)));

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<T> Y, ArrayView<T> Winners, int KeepsWinners, PoolGeometry Geometry) where T : unmanaged;

    /// <summary>One thread for some channels of each output pixel.</summary>
    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var g = a.Geometry;
        int across = g.Channels >> TVector.Shift, pixel = i / across, c = (i - pixel * across) * TVector.Width;
        int line = pixel / g.OutWidth, ox = pixel - line * g.OutWidth;
        int n = line / g.OutHeight, oy = line - n * g.OutHeight;
        int top = oy * g.StrideY - g.PaddingY, left = ox * g.StrideX - g.PaddingX, firstRow = Math.Max(top, 0), firstColumn = Math.Max(left, 0);
        TVector max = TVector.Load<T, TStorage>(a.X, ((n * g.Height + firstRow) * g.Width + firstColumn) * g.Channels + c), winner = TVector.All(Winner.At((firstRow - top) * g.KernelX + firstColumn - left));
        for (int row = firstRow; row < Math.Min(top + g.KernelY, g.Height); row++)
        {
            for (int column = firstColumn; column < Math.Min(left + g.KernelX, g.Width); column++)
            {
                var value = TVector.Load<T, TStorage>(a.X, ((n * g.Height + row) * g.Width + column) * g.Channels + c);
                // What wins is at a later place than all before, and its number larger.
                winner = TVector.Map(new Larger(), winner, TVector.Map(new Wins(), value, max) * Winner.At((row - top) * g.KernelX + column - left));
                max = TVector.Map(new Larger(), max, value);
            }
        }
        TVector.Store<T, TStorage>(a.Y, pixel * g.Channels + c, max);
        if (a.KeepsWinners != 0) TVector.Store<T, TStorage>(a.Winners, pixel * g.Channels + c, winner);
    }

    internal readonly struct Larger : IGpuFunction
    {
        public float Apply(float x, float y) => x >= y || float.IsNaN(x) ? x : y;
    }

    /// <summary>1 where x is larger than y or the first NaN, else 0.</summary>
    internal readonly struct Wins : IGpuFunction
    {
        public float Apply(float x, float y) => x <= y || float.IsNaN(y) ? 0f : 1f;
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
            new Arguments<T, TElement>(gpu.Vectors<T>(winners), gpu.Vectors<T>(dy), gpu.Vectors<T>(dx), PoolGeometry.Of(dx, dy, window), element));

    internal readonly record struct Arguments<T, TElement>(
        ArrayView<T> Winners, ArrayView<T> OutputGradient, ArrayView<T> InputGradient, PoolGeometry Geometry, TElement Element) where T : unmanaged where TElement : struct, IGpuElement;

    /// <summary>One thread for some channels of each input pixel gathers from the windows that see it, in their order.</summary>
    private static void Run<T, TStorage, TVector, TElement>(Index1D i, Arguments<T, TElement> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> where TElement : struct, IGpuElement
    {
        var g = a.Geometry;
        int across = g.Channels >> TVector.Shift, pixel = i / across, c = (i - pixel * across) * TVector.Width;
        int line = pixel / g.Width, column = pixel - line * g.Width;
        int n = line / g.Height, row = line - n * g.Height, place = pixel * g.Channels + c;
        TVector sum = TVector.All(0f);
        for (int oy = g.FirstRow(row); oy < g.EndRow(row); oy++)
        {
            for (int ox = g.FirstColumn(column); ox < g.EndColumn(column); ox++)
            {
                int o = ((n * g.OutHeight + oy) * g.OutWidth + ox) * g.Channels + c, inWindow = (row - oy * g.StrideY + g.PaddingY) * g.KernelX + column - ox * g.StrideX + g.PaddingX;
                var wins = TVector.Map(new IsEqual(), TVector.Load<T, TStorage>(a.Winners, o), TVector.All(Winner.At(inWindow)));
                sum += TVector.Map(new Where(), wins, TVector.Load<T, TStorage>(a.OutputGradient, o));
            }
        }
        TVector.Store<T, TStorage>(a.InputGradient, place, a.Element.Apply(sum, place));
    }

    /// <summary>1 where x is y, else 0.</summary>
    internal readonly struct IsEqual : IGpuFunction
    {
        public float Apply(float x, float y) => x == y ? 1f : 0f;
    }

    /// <summary>y where x is 1, else 0; no product, because y may be infinite.</summary>
    internal readonly struct Where : IGpuFunction
    {
        public float Apply(float x, float y) => x != 0f ? y : 0f;
    }
}
