using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class MaxPool2dForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y);
        int height = x.Dimensions[1], width = x.Dimensions[2], channels = x.Dimensions[3], outHeight = y.Dimensions[1], outWidth = y.Dimensions[2];
        var w = window;
        return cpu.For(y.Dimensions[0] * outHeight, grain: 1, Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            for (long line = first; line < end; line++)
            {
                int oy = (int)(line % outHeight), top = oy * w.Stride.Height - w.Padding.Height;
                int y0 = Math.Max(top, 0), y1 = Math.Min(top + w.Kernel.Height, height);
                T* image = from + line / outHeight * height * width * channels, target = to + line * outWidth * channels;
                for (int ox = 0; ox < outWidth; ox++, target += channels)
                {
                    int left = ox * w.Stride.Width - w.Padding.Width, x0 = Math.Max(left, 0), x1 = Math.Min(left + w.Kernel.Width, width);
                    for (int c = 0; c < channels; c += CpuVector.Width)
                    {
                        int count = Math.Min(CpuVector.Width, channels - c);
                        var max = Vector512.Create(float.NegativeInfinity);
                        for (int row = y0; row < y1; row++)
                        {
                            T* pixel = image + ((long)row * width + x0) * channels + c;
                            // An arena has room for a whole vector behind its last tensor; what lies beyond the channels is not stored.
                            for (int column = x0; column < x1; column++, pixel += channels) max = Vector512.Max(max, TStorage.Load16(pixel));
                        }
                        if (count == CpuVector.Width) TStorage.Store16(max, target + c);
                        else CpuVector.Store<T, TStorage>(max, target + c, count);
                    }
                }
            }
        }
    }
}

internal sealed unsafe partial class MaxPool2dBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        var user = new CpuUser<T, TStorage>(cpu, this);
        return _next is null ? user.With(new Unchanged()) : _next.Give<T, TStorage>(cpu, user);
    }

    private sealed class CpuUser<T, TStorage>(CpuBackend cpu, MaxPool2dBackward kernel) : ICpuElementUser
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        public Action With<TElement>(TElement element) where TElement : unmanaged, ICpuElement => kernel.NoPixelInTwoWindows
            ? kernel.BindApart<T, TStorage, TElement>(cpu, element)
            : kernel.Bind<T, TStorage, TElement>(cpu, element);
    }

    private bool NoPixelInTwoWindows =>
        window.Stride.Height >= window.Kernel.Height && window.Stride.Width >= window.Kernel.Width && window.Padding == 0;

    /// <summary>Windows that share no pixel and see no padding: each gives its gradient to its first maximum. Every x is read once.</summary>
    private Action BindApart<T, TStorage, TElement>(CpuBackend cpu, TElement element)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
        where TElement : unmanaged, ICpuElement
    {
        T* xs = cpu.Pointer<T>(x), ys = cpu.Pointer<T>(y), dys = cpu.Pointer<T>(dy), dxs = cpu.Pointer<T>(dx);
        int height = x.Dimensions[1], width = x.Dimensions[2], channels = x.Dimensions[3], outHeight = y.Dimensions[1], outWidth = y.Dimensions[2];
        var ((kernelHeight, kernelWidth), (strideHeight, strideWidth)) = (window.Kernel, window.Stride);
        return cpu.For(y.Dimensions[0] * outHeight, grain: 1, Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            for (long line = first; line < end; line++)
            {
                long n = line / outHeight, oy = line % outHeight, top = oy * strideHeight, o = line * outWidth * channels;
                long bottom = oy == outHeight - 1 ? height : top + strideHeight, at = (n * height + top) * width * channels;
                // Pixels between windows, and behind the last one.
                if (strideHeight > kernelHeight || strideWidth > kernelWidth || outWidth * strideWidth < width || bottom > top + kernelHeight)
                    new Span<T>(dxs + at, (int)((bottom - top) * width * channels)).Clear();
                for (int ox = 0; ox < outWidth; ox++, at += strideWidth * channels)
                {
                    for (int c = 0; c < channels; c += CpuVector.Width)
                    {
                        int count = Math.Min(CpuVector.Width, channels - c);
                        Vector512<float> max = TStorage.Load16(ys + o), gradient = TStorage.Load16(dys + o), free = Vector512<float>.AllBitsSet;
                        o += count;
                        for (int row = 0; row < kernelHeight; row++)
                        {
                            for (int column = 0; column < kernelWidth; column++)
                            {
                                long place = at + (long)(row * width + column) * channels + c;
                                var wins = Wins(TStorage.Load16(xs + place), max) & free;
                                free &= ~wins;
                                if (count == CpuVector.Width) TStorage.Store16(element.Apply(gradient & wins, place), dxs + place);
                                else CpuVector.Store<T, TStorage>(element.Apply(gradient & wins, place, count), dxs + place, count);
                            }
                        }
                    }
                }
            }
        }
    }

    private Action Bind<T, TStorage, TElement>(CpuBackend cpu, TElement element)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
        where TElement : unmanaged, ICpuElement
    {
        T* xs = cpu.Pointer<T>(x), ys = cpu.Pointer<T>(y), dys = cpu.Pointer<T>(dy), dxs = cpu.Pointer<T>(dx);
        int height = x.Dimensions[1], width = x.Dimensions[2], channels = x.Dimensions[3], outHeight = y.Dimensions[1], outWidth = y.Dimensions[2];
        var w = window;
        return cpu.For(dx.Dimensions[0] * height, grain: 1, Rows);

        // Each input pixel gathers from the windows that see it, so that no two threads write the same one.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            for (long line = first; line < end; line++)
            {
                int row = (int)(line % height);
                long n = line / height;
                T* image = xs + n * height * width * channels;
                var (oy0, oy1) = Pooling.WindowsAt(row, w.Kernel.Height, w.Stride.Height, w.Padding.Height, outHeight);
                for (int column = 0; column < width; column++)
                {
                    var (ox0, ox1) = Pooling.WindowsAt(column, w.Kernel.Width, w.Stride.Width, w.Padding.Width, outWidth);
                    T* at = image + ((long)row * width + column) * channels, target = dxs + (line * width + column) * channels;
                    for (int c = 0; c < channels; c += CpuVector.Width)
                    {
                        var value = TStorage.Load16(at + c);
                        var sum = Vector512<float>.Zero;
                        for (int oy = oy0; oy < oy1; oy++)
                        {
                            for (int ox = ox0; ox < ox1; ox++)
                            {
                                long o = ((n * outHeight + oy) * outWidth + ox) * channels + c;
                                var wins = Wins(value, TStorage.Load16(ys + o)) & ~WonBefore(image + c, TStorage.Load16(ys + o), oy, ox, row, column);
                                sum += TStorage.Load16(dys + o) & wins;
                            }
                        }
                        int count = Math.Min(CpuVector.Width, channels - c);
                        long place = target + c - dxs;
                        if (count == CpuVector.Width) TStorage.Store16(element.Apply(sum, place), target + c);
                        else CpuVector.Store<T, TStorage>(element.Apply(sum, place, count), target + c, count);
                    }
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        Vector512<float> WonBefore(T* image, Vector512<float> max, int oy, int ox, int row, int column)
        {
            int top = Math.Max(oy * w.Stride.Height - w.Padding.Height, 0), left = Math.Max(ox * w.Stride.Width - w.Padding.Width, 0);
            int right = Math.Min(ox * w.Stride.Width - w.Padding.Width + w.Kernel.Width, width);
            var won = Vector512<float>.Zero;
            for (int r = top; r <= row; r++)
            {
                int stop = r == row ? column : right;
                for (int q = left; q < stop; q++) won |= Wins(TStorage.Load16(image + ((long)r * width + q) * channels), max);
            }
            return won;
        }
    }

    /// <summary>All ones where a value is the maximum; NaN is, where the maximum is NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Wins(Vector512<float> value, Vector512<float> max) =>
        Vector512.Equals(value, max) | (Vector512.IsNaN(value) & Vector512.IsNaN(max));
}
