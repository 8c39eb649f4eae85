using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class AvgPool2dForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y);
        var g = PoolGeometry.Of(x, y, window);
        return cpu.For((long)x.Dimensions[0] * g.OutHeight, grain: 1, Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            for (long line = first; line < end; line++)
            {
                int oy = (int)(line % g.OutHeight);
                var (y0, y1) = g.Rows(oy);
                T* image = from + line / g.OutHeight * g.Height * g.Width * g.Channels, target = to + line * g.OutWidth * g.Channels;
                for (int ox = 0; ox < g.OutWidth; ox++, target += g.Channels)
                {
                    var (x0, x1) = g.Columns(ox);
                    float divisor = g.Divisor(oy, ox, countIncludePad ? 1 : 0);
                    for (int c = 0; c < g.Channels; c += CpuVector.Width)
                    {
                        var sum = Vector512<float>.Zero;
                        for (int row = y0; row < y1; row++)
                        {
                            T* pixel = image + ((long)row * g.Width + x0) * g.Channels + c;
                            for (int column = x0; column < x1; column++, pixel += g.Channels) sum += TStorage.Load16(pixel);
                        }
                        Store<T, TStorage>(sum / divisor, target + c, g.Channels - c);
                    }
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Store<T, TStorage>(Vector512<float> values, T* target, int channels) where T : unmanaged where TStorage : struct, ICpuStorage<T>
    {
        if (channels >= CpuVector.Width) TStorage.Store16(values, target);
        else CpuVector.Store<T, TStorage>(values, target, channels);
    }
}

internal sealed unsafe partial class AvgPool2dBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu) =>
        window.Stride.Height >= window.Kernel.Height && window.Stride.Width >= window.Kernel.Width && window.Padding == 0
            ? BindApart<T, TStorage>(cpu)
            : BindOverlapping<T, TStorage>(cpu);

    /// <summary>Windows that share no pixel and see no padding: a row of windows is one row of pixels, then copies of it.</summary>
    private Action BindApart<T, TStorage>(CpuBackend cpu)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        T* from = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx);
        var g = PoolGeometry.Of(dx, dy, window);
        return cpu.For((long)dx.Dimensions[0] * g.OutHeight, grain: 1, Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            int channels = g.Channels, rowElements = g.Width * channels, kernelWidth = g.KernelX;
            var taps = Vector512.Create((float)(g.KernelY * kernelWidth));
            for (long line = first; line < end; line++)
            {
                long oy = line % g.OutHeight, top = oy * g.StrideY;
                T* pixel = from + line * g.OutWidth * channels, row = to + (line / g.OutHeight * g.Height + top) * rowElements, target = row;
                int rows = (int)((oy == g.OutHeight - 1 ? g.Height : top + g.StrideY) - top);
                // Pixels between windows, and behind the last one.
                if (g.StrideX > kernelWidth || g.OutWidth * g.StrideX < g.Width) new Span<T>(row, rowElements).Clear();
                if (rows > g.KernelY) new Span<T>(row + g.KernelY * rowElements, (rows - g.KernelY) * rowElements).Clear();
                for (int ox = 0; ox < g.OutWidth; ox++, pixel += channels, target += g.StrideX * channels)
                {
                    for (int c = 0; c < channels; c += CpuVector.Width)
                    {
                        var share = TStorage.Load16(pixel + c) / taps;
                        for (int column = 0; column < kernelWidth; column++) AvgPool2dForward.Store<T, TStorage>(share, target + column * channels + c, channels - c);
                    }
                }
                for (int copy = 1; copy < g.KernelY; copy++) new Span<T>(row, rowElements).CopyTo(new Span<T>(row + copy * rowElements, rowElements));
            }
        }
    }

    private Action BindOverlapping<T, TStorage>(CpuBackend cpu)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        T* from = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx);
        var g = PoolGeometry.Of(dx, dy, window);
        bool alike = countIncludePad || window.Padding == 0; // all windows have as many taps
        return cpu.For((long)dx.Dimensions[0] * g.Height, grain: 1, Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            var taps = Vector512.Create((float)(g.KernelY * g.KernelX));
            for (long line = first; line < end; line++)
            {
                int row = (int)(line % g.Height), y0 = g.FirstRow(row), y1 = g.EndRow(row);
                T* image = from + line / g.Height * g.OutHeight * g.OutWidth * g.Channels, target = to + line * g.Width * g.Channels;
                for (int column = 0; column < g.Width; column++, target += g.Channels)
                {
                    int x0 = g.FirstColumn(column), x1 = g.EndColumn(column);
                    for (int c = 0; c < g.Channels; c += CpuVector.Width)
                    {
                        var sum = Vector512<float>.Zero;
                        for (int oy = y0; oy < y1; oy++)
                        {
                            T* pixel = image + ((long)oy * g.OutWidth + x0) * g.Channels + c;
                            for (int ox = x0; ox < x1; ox++, pixel += g.Channels)
                                sum += alike ? TStorage.Load16(pixel) : TStorage.Load16(pixel) / g.Divisor(oy, ox, countPadding: 0);
                        }
                        AvgPool2dForward.Store<T, TStorage>(alike ? sum / taps : sum, target + c, g.Channels - c);
                    }
                }
            }
        }
    }
}
