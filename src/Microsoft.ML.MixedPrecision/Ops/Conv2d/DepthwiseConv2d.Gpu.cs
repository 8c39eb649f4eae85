using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class DepthwiseForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => DepthwiseWindows.Bind<T, TStorage>(gpu, DepthwiseGeometry.Forward(Geometry), x, weight, bias, taps, y, reversed: false);
}

internal sealed partial class DepthwiseInputGradient
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => DepthwiseWindows.Bind<T, TStorage>(gpu, DepthwiseGeometry.InputGradient(Geometry), dy, weight, null, taps, dx, reversed: true);
}

/// <summary>
/// Each target pixel from the taps of its window: a thread for eight of its channels, or for one where they are no multiple of eight. A
/// source pixel is read once for each tap, all but the first time from a cache; so are the taps, which are turned first, because a filter's lie together.
/// </summary>
internal static class DepthwiseWindows
{
    internal readonly record struct TurnArguments<T>(ArrayView<T> Weights, ArrayView<T> Taps, int Channels, int Count, int Reversed) where T : unmanaged;

    internal readonly record struct Arguments<T>(
        ArrayView<T> Source, ArrayView<T> Taps, ArrayView<T> Bias, int HasBias, ArrayView<T> Target, int Channels, int KernelY, int KernelX, int DilationY, int DilationX,
        int StrideY, int StrideX, int PaddingY, int PaddingX, Divisor StepY, Divisor StepX, int Height, int Width, int TargetHeight, int TargetWidth) where T : unmanaged;

    public static Action Bind<T, TStorage>(IlgpuBackend gpu, DepthwiseGeometry g, Tensor source, Tensor weight, Tensor? bias, Tensor taps, Tensor target, bool reversed)
        where T : unmanaged where TStorage : struct, IStorage<T>
    {
        var (from, tapView) = (gpu.Vectors<T>(source), gpu.Vectors<T>(taps));
        var turn = gpu.For(taps.Length, Turn<T, TStorage>, new TurnArguments<T>(gpu.View<T>(weight), tapView, g.Channels, g.Taps, reversed ? 1 : 0));
        var run = gpu.ForChannels(target, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>, new Arguments<T>(
            from, tapView, bias is null ? from : gpu.Vectors<T>(bias), bias is null ? 0 : 1, gpu.Vectors<T>(target), g.Channels, g.Kernel.Height, g.Kernel.Width, g.Dilation.Height, g.Dilation.Width,
            g.Stride.Height, g.Stride.Width, g.Padding.Height, g.Padding.Width, new(g.Step.Height), new(g.Step.Width), g.Source.Height, g.Source.Width, g.Target.Height, g.Target.Width));
        return () =>
        {
            turn();
            run();
        };
    }

    private static void Turn<T, TStorage>(Index1D i, TurnArguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int tap = i / a.Channels, c = i - tap * a.Channels;
        a.Taps[i] = a.Weights[c * a.Count + (a.Reversed != 0 ? a.Count - 1 - tap : tap)];
    }

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Channels >> TVector.Shift, pixel = i / across, c = (i - pixel * across) * TVector.Width;
        int line = pixel / a.TargetWidth, n = line / a.TargetHeight;
        int top = (line - n * a.TargetHeight) * a.StrideY - a.PaddingY, left = (pixel - line * a.TargetWidth) * a.StrideX - a.PaddingX;
        var sum = TVector.All(0f);
        for (int ky = 0; ky < a.KernelY; ky++)
        {
            // Of what is negative, the quotient of the 32 bits is at least 2^31 / step: beyond the end.
            int above = top + ky * a.DilationY, y = a.StepY.Divide(above);
            if (y * a.StepY.Value != above || (uint)y >= (uint)a.Height) continue;
            for (int kx = 0; kx < a.KernelX; kx++)
            {
                int before = left + kx * a.DilationX, x = a.StepX.Divide(before);
                if (x * a.StepX.Value != before || (uint)x >= (uint)a.Width) continue;
                sum += TVector.Load<T, TStorage>(a.Source, ((n * a.Height + y) * a.Width + x) * a.Channels + c) * TVector.Load<T, TStorage>(a.Taps, (ky * a.KernelX + kx) * a.Channels + c);
            }
        }
        if (a.HasBias != 0) sum += TVector.Load<T, TStorage>(a.Bias, c);
        TVector.Store<T, TStorage>(a.Target, pixel * a.Channels + c, sum);
    }
}

internal sealed partial class DepthwiseWeightGradient
{
    /// <summary>Column sums of a matrix that is never written: a row for each output pixel, a column for each tap and channel, dy x.</summary>
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var (g, w) = (Geometry, Geometry.Window);
        var rows = Parts(g);
        int columns = g.Taps * g.Channels;
        var a = new Arguments<T>(
            gpu.Vectors<T>(x), gpu.Vectors<T>(dy), gpu.Vectors<float>(parts), gpu.View<T>(weightGradient), g.OutPixels, rows.Count, new(g.Channels), new(g.KernelWidth), g.Taps,
            new(g.OutHeight), new(g.OutWidth), g.Height, g.Width, w.Stride.Height, w.Stride.Width, w.Padding.Height, w.Padding.Width, w.Dilation.Height, w.Dilation.Width);
        var sum = gpu.SumColumns<Products<T, TStorage>, Arguments<T>>(rows, columns, a, together: g.Channels);
        var join = gpu.ReduceParts<Total<T, TStorage>, float, Arguments<T>>(columns, rows.Count, a);
        return () =>
        {
            sum();
            join();
        };
    }

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> OutputGradient, ArrayView<float> Parts, ArrayView<T> WeightGradient, int Rows, int PartCount, Divisor Channels, Divisor KernelX, int Taps,
        Divisor OutHeight, Divisor OutWidth, int Height, int Width, int StrideY, int StrideX, int PaddingY, int PaddingX, int DilationY, int DilationX) where T : unmanaged;

    internal readonly struct Products<T, TStorage> : IGpuColumnSums<Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static bool ReadsOne => false;
        public static int Rows(Arguments<T> a) => a.Rows;
        public static TVector Origin<TVector>(Arguments<T> a, int firstRow, int column) where TVector : unmanaged, IGpuVector<TVector> => TVector.All(0f);

        public static TwoSums<TVector> Load<TVector>(Arguments<T> a, int row, int column, TVector origin) where TVector : unmanaged, IGpuVector<TVector>
        {
            int tap = a.Channels.Divide(column), c = column - tap * a.Channels.Value, ky = a.KernelX.Divide(tap), kx = tap - ky * a.KernelX.Value;
            int line = a.OutWidth.Divide(row), n = a.OutHeight.Divide(line);
            int y = (line - n * a.OutHeight.Value) * a.StrideY - a.PaddingY + ky * a.DilationY, x = (row - line * a.OutWidth.Value) * a.StrideX - a.PaddingX + kx * a.DilationX;
            if ((uint)y >= (uint)a.Height || (uint)x >= (uint)a.Width) return new(origin, origin);
            return new(
                TVector.Load<T, TStorage>(a.OutputGradient, row * a.Channels.Value + c) * TVector.Load<T, TStorage>(a.X, ((n * a.Height + y) * a.Width + x) * a.Channels.Value + c), origin);
        }

        public static void Store<TVector>(Arguments<T> a, int part, int column, int rows, TVector origin, TwoSums<TVector> total) where TVector : unmanaged, IGpuVector<TVector> =>
            TVector.Store<float, SingleStorage>(a.Parts, part * a.Taps * a.Channels.Value + column, total.First);
    }

    internal readonly struct Total<T, TStorage> : IGpuReduction<float, Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static float Nothing => 0f;
        public static int Items(Arguments<T> a, int column) => a.PartCount;
        public static float Load(Arguments<T> a, int column, int part) => a.Parts[part * a.Taps * a.Channels.Value + column];
        public static float Combine(float x, float y) => x + y;

        public static void Store(Arguments<T> a, int column, float total)
        {
            int tap = a.Channels.Divide(column);
            a.WeightGradient[(column - tap * a.Channels.Value) * a.Taps + tap] = TStorage.Store(total);
        }
    }
}
