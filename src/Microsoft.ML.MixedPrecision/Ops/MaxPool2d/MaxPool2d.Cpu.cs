using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class MaxPool2dForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y), places = winners is null ? null : cpu.Pointer<T>(winners);
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
                T* image = from + line / outHeight * height * width * channels;
                long o = line * outWidth * channels;
                for (int ox = 0; ox < outWidth; ox++, o += channels)
                {
                    int left = ox * w.Stride.Width - w.Padding.Width, x0 = Math.Max(left, 0), x1 = Math.Min(left + w.Kernel.Width, width);
                    T* corner = image + ((long)y0 * width + x0) * channels;
                    int place = (y0 - top) * w.Kernel.Width + x0 - left, c = 0;
                    for (; c <= channels - CpuVector.Width; c += CpuVector.Width)
                    {
                        var (max, winner) = Max(corner + c, y1 - y0, x1 - x0, place);
                        TStorage.Store16(max, to + o + c);
                        if (places is not null) TStorage.StoreBits16(winner, places + o + c);
                    }
                    if (c < channels) StorePart(corner + c, y1 - y0, x1 - x0, place, o + c, channels - c);
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        (Vector512<float> Max, Vector512<int> Winner) Max(T* corner, int rows, int columns, int place)
        {
            var max = TStorage.Load16(corner);
            var winner = Vector512.Create(place);
            for (; rows > 0; rows--, corner += width * channels, place += w.Kernel.Width)
            {
                T* pixel = corner;
                for (int column = 0; column < columns; column++, pixel += channels)
                {
                    var value = TStorage.Load16(pixel);
                    var wins = Vector512.AndNot(Vector512.Equals(max, max), Vector512.LessThanOrEqual(value, max)); // larger, or the first NaN
                    max = Vector512.ConditionalSelect(wins, value, max);
                    winner = Vector512.ConditionalSelect(wins.AsInt32(), Vector512.Create(place + column), winner);
                }
            }
            return (max, winner);
        }

        // By itself, since with a call in it the loop above would keep its vectors in memory. An arena has room for a whole vector
        // behind its last tensor; what lies beyond the channels is not stored.
        [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
        void StorePart(T* corner, int rows, int columns, int place, long o, int count)
        {
            var (max, winner) = Max(corner, rows, columns, place);
            CpuVector.Store<T, TStorage>(max, to + o, count);
            if (places is null) return;
            T* part = stackalloc T[CpuVector.Width];
            TStorage.StoreBits16(winner, part);
            new ReadOnlySpan<T>(part, count).CopyTo(new Span<T>(places + o, count));
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

    /// <summary>Windows that share no pixel and see no padding: each gives its gradient to its winner.</summary>
    private Action BindApart<T, TStorage, TElement>(CpuBackend cpu, TElement element)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
        where TElement : unmanaged, ICpuElement
    {
        T* places = cpu.Pointer<T>(winners), dys = cpu.Pointer<T>(dy), dxs = cpu.Pointer<T>(dx);
        int height = dx.Dimensions[1], width = dx.Dimensions[2], channels = dx.Dimensions[3], outHeight = dy.Dimensions[1], outWidth = dy.Dimensions[2];
        var ((kernelHeight, kernelWidth), (strideHeight, strideWidth)) = (window.Kernel, window.Stride);
        return cpu.For(dy.Dimensions[0] * outHeight, grain: 1, Rows);

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
                    int c = 0;
                    for (; c <= channels - CpuVector.Width; c += CpuVector.Width, o += CpuVector.Width) Window(at + c, o, CpuVector.Width);
                    if (c == channels) continue;
                    PartOfWindow(at + c, o, channels - c);
                    o += channels - c;
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        void Window(long at, long o, int count)
        {
            var winner = TStorage.LoadBits16(places + o);
            for (int row = 0; row < kernelHeight; row++)
            {
                long place = at + (long)row * width * channels;
                for (int column = 0; column < kernelWidth; column++, place += channels)
                {
                    var wins = Vector512.Equals(winner, Vector512.Create(row * kernelWidth + column)).AsSingle();
                    if (count < CpuVector.Width) CpuVector.Store<T, TStorage>(element.Apply(TStorage.Load16(dys + o) & wins, place, count), dxs + place, count);
                    else if (TElement.KeepsOrDrops) TStorage.Select16(dys + o, element.Apply(wins, place), dxs + place);
                    else TStorage.Store16(element.Apply(TStorage.Load16(dys + o) & wins, place), dxs + place);
                }
            }
        }

        // By itself, since a loop with a call in it keeps its vectors in memory.
        [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
        void PartOfWindow(long at, long o, int count) => Window(at, o, count);
    }

    /// <summary>Each input pixel gathers from the windows that see it, so that no two threads write the same one.</summary>
    private Action Bind<T, TStorage, TElement>(CpuBackend cpu, TElement element)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
        where TElement : unmanaged, ICpuElement
    {
        T* places = cpu.Pointer<T>(winners), dys = cpu.Pointer<T>(dy), dxs = cpu.Pointer<T>(dx);
        int height = dx.Dimensions[1], width = dx.Dimensions[2], channels = dx.Dimensions[3], outHeight = dy.Dimensions[1], outWidth = dy.Dimensions[2];
        var w = window;
        var (firstWindows, endWindows) = (new int[width], new int[width]);
        for (int column = 0; column < width; column++) (firstWindows[column], endWindows[column]) = Pooling.WindowsAt(column, w.Kernel.Width, w.Stride.Width, w.Padding.Width, outWidth);
        return cpu.For(dx.Dimensions[0] * height, grain: 1, Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            for (long line = first; line < end; line++)
            {
                int row = (int)(line % height);
                long n = line / height, at = line * width * channels;
                var (oy0, oy1) = Pooling.WindowsAt(row, w.Kernel.Height, w.Stride.Height, w.Padding.Height, outHeight);
                for (int column = 0; column < width; column++, at += channels)
                {
                    int ox0 = firstWindows[column], ox1 = endWindows[column];
                    for (int c = 0; c < channels; c += CpuVector.Width)
                    {
                        var sum = Vector512<float>.Zero;
                        for (int oy = oy0; oy < oy1; oy++)
                        {
                            long o = ((n * outHeight + oy) * outWidth + ox0) * channels + c;
                            // The pixel's place in the first of these windows; each next one begins a stride further to the right.
                            int place = (row - oy * w.Stride.Height + w.Padding.Height) * w.Kernel.Width + column - ox0 * w.Stride.Width + w.Padding.Width;
                            for (int ox = ox0; ox < ox1; ox++, o += channels, place -= w.Stride.Width)
                                sum += TStorage.Load16(dys + o) & Vector512.Equals(TStorage.LoadBits16(places + o), Vector512.Create(place)).AsSingle();
                        }
                        if (c <= channels - CpuVector.Width) TStorage.Store16(element.Apply(sum, at + c), dxs + at + c);
                        else StorePart(sum, at + c, channels - c);
                    }
                }
            }
        }

        // By itself, since a loop with a call in it keeps its vectors in memory.
        [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
        void StorePart(Vector512<float> sum, long at, int count) => CpuVector.Store<T, TStorage>(element.Apply(sum, at, count), dxs + at, count);
    }
}
