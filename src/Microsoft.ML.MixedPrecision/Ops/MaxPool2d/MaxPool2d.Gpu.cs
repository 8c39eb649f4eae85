using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class MaxPool2dForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(y.Length, Run<T, TStorage>,
        new Arguments<T>(gpu.View<T>(x), gpu.View<T>(y), PoolGeometry.Of(x, y, window)));

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<T> Y, PoolGeometry Geometry) where T : unmanaged;

    /// <summary>One thread for each output element.</summary>
    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        var g = a.Geometry;
        int pixel = i / g.Channels, c = i - pixel * g.Channels;
        int line = pixel / g.OutWidth, ox = pixel - line * g.OutWidth;
        int n = line / g.OutHeight, oy = line - n * g.OutHeight;
        int top = oy * g.StrideY - g.PaddingY, left = ox * g.StrideX - g.PaddingX;
        float max = float.NegativeInfinity;
        for (int row = Math.Max(top, 0); row < Math.Min(top + g.KernelY, g.Height); row++)
        {
            for (int column = Math.Max(left, 0); column < Math.Min(left + g.KernelX, g.Width); column++)
            {
                float value = TStorage.Load(a.X[((n * g.Height + row) * g.Width + column) * g.Channels + c]);
                if (!(value <= max)) max = value; // NaN wins; once there, nothing is compared with it as less
                if (float.IsNaN(max)) break;
            }
            if (float.IsNaN(max)) break;
        }
        a.Y[i] = TStorage.Store(max);
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
        gpu.For(dx.Length, Run<T, TStorage, TElement>,
            new Arguments<T, TElement>(gpu.View<T>(x), gpu.View<T>(y), gpu.View<T>(dy), gpu.View<T>(dx), PoolGeometry.Of(x, y, window), element));

    internal readonly record struct Arguments<T, TElement>(
        ArrayView<T> X, ArrayView<T> Y, ArrayView<T> OutputGradient, ArrayView<T> InputGradient, PoolGeometry Geometry, TElement Element) where T : unmanaged where TElement : struct, IGpuElement;

    /// <summary>One thread for each input element gathers from the windows that see it, in their order.</summary>
    private static void Run<T, TStorage, TElement>(Index1D i, Arguments<T, TElement> a) where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement
    {
        var g = a.Geometry;
        int pixel = i / g.Channels, c = i - pixel * g.Channels;
        int line = pixel / g.Width, column = pixel - line * g.Width;
        int n = line / g.Height, row = line - n * g.Height;
        float value = TStorage.Load(a.X[i]), sum = 0f;
        for (int oy = g.FirstRow(row); oy < g.EndRow(row); oy++)
        {
            for (int ox = g.FirstColumn(column); ox < g.EndColumn(column); ox++)
            {
                int o = ((n * g.OutHeight + oy) * g.OutWidth + ox) * g.Channels + c;
                float max = TStorage.Load(a.Y[o]);
                if (!Wins(value, max)) continue;
                int top = Math.Max(oy * g.StrideY - g.PaddingY, 0), left = Math.Max(ox * g.StrideX - g.PaddingX, 0);
                int right = Math.Min(ox * g.StrideX - g.PaddingX + g.KernelX, g.Width);
                int before = 0;
                for (int r = top; r <= row; r++)
                {
                    int stop = r == row ? column : right;
                    for (int q = left; q < stop; q++)
                        if (Wins(TStorage.Load(a.X[((n * g.Height + r) * g.Width + q) * g.Channels + c]), max)) before = 1;
                }
                if (before == 0) sum += TStorage.Load(a.OutputGradient[o]);
            }
        }
        a.InputGradient[i] = TStorage.Store(a.Element.Apply(sum, i));
    }

    private static bool Wins(float value, float max) => value == max || (float.IsNaN(value) && float.IsNaN(max));
}
