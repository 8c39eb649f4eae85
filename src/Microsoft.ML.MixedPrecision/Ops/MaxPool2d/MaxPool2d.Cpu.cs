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
                        if (count == CpuVector.Width) TStorage.Store16(sum, target + c);
                        else CpuVector.Store<T, TStorage>(sum, target + c, count);
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
