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
                    T* corner = image + ((long)y0 * width + x0) * channels;
                    int c = 0;
                    for (; c <= channels - CpuVector.Width; c += CpuVector.Width) TStorage.Store16(Max(corner + c, y1 - y0, x1 - x0), target + c);
                    if (c < channels) StorePart(corner + c, y1 - y0, x1 - x0, target + c, channels - c);
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        Vector512<float> Max(T* corner, int rows, int columns)
        {
            var max = Vector512.Create(float.NegativeInfinity);
            for (; rows > 0; rows--, corner += width * channels)
            {
                T* pixel = corner;
                for (int column = 0; column < columns; column++, pixel += channels) max = Vector512.Max(max, TStorage.Load16(pixel));
            }
            return max;
        }

        // By itself, since with a call in it the loop above would keep its vectors in memory. An arena has room for a whole vector
        // behind its last tensor; what lies beyond the channels is not stored.
        [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
        void StorePart(T* corner, int rows, int columns, T* part, int count) => CpuVector.Store<T, TStorage>(Max(corner, rows, columns), part, count);
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
            Vector512<float> max = TStorage.Load16(ys + o), free = Vector512<float>.AllBitsSet;
            bool ordered = Vector512.EqualsAll(max, max); // no NaN, by far the most: then equality is enough
            for (int row = 0; row < kernelHeight; row++)
            {
                long place = at + (long)row * width * channels;
                for (int column = 0; column < kernelWidth; column++, place += channels)
                {
                    var value = TStorage.Load16(xs + place);
                    var wins = (ordered ? Vector512.Equals(value, max) : Wins(value, max)) & free;
                    free = Vector512.AndNot(free, wins);
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

    /// <summary>
    /// Each input pixel gathers from the windows that see it, so that no two threads write the same one. Where a window's first maximum
    /// lies is found once, and kept with its gradient for as many rows of windows as see one row of pixels.
    /// </summary>
    private Action Bind<T, TStorage, TElement>(CpuBackend cpu, TElement element)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
        where TElement : unmanaged, ICpuElement
    {
        const int vector = CpuVector.Width;
        T* xs = cpu.Pointer<T>(x), ys = cpu.Pointer<T>(y), dys = cpu.Pointer<T>(dy), dxs = cpu.Pointer<T>(dx);
        int height = x.Dimensions[1], width = x.Dimensions[2], channels = x.Dimensions[3], outHeight = y.Dimensions[1], outWidth = y.Dimensions[2], lines = x.Dimensions[0] * height;
        var w = window;
        int blocks = (channels + vector - 1) / vector, rowFloats = outWidth * blocks * vector, ring = (w.Kernel.Height + w.Stride.Height - 1) / w.Stride.Height;
        int slots = (int)Math.Clamp(dx.Length / CpuBackend.ElementGrain, 1, Math.Min(cpu.Threads, lines));
        long perSlot = 2L * ring * rowFloats;
        cpu.Reserve(slots * perSlot);
        var (firstWindows, endWindows) = (new int[width], new int[width]);
        for (int column = 0; column < width; column++) (firstWindows[column], endWindows[column]) = Pooling.WindowsAt(column, w.Kernel.Width, w.Stride.Width, w.Padding.Width, outWidth);
        return cpu.For(slots, grain: 1, (first, end) =>
        {
            for (long slot = first; slot < end; slot++) Rows(slot * lines / slots, (slot + 1) * lines / slots, cpu.Scratch + slot * perSlot);
        });

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end, float* memory)
        {
            int kernelWidth = w.Kernel.Width, strideWidth = w.Stride.Width;
            long found = -1; // the last row of windows, of all images, that the ring holds
            for (long line = first; line < end; line++)
            {
                int row = (int)(line % height);
                long n = line / height;
                var (oy0, oy1) = Pooling.WindowsAt(row, w.Kernel.Height, w.Stride.Height, w.Padding.Height, outHeight);
                for (long o = Math.Max(n * outHeight + oy0, found + 1); o < n * outHeight + oy1; o++)
                {
                    float* winners = memory + o % outHeight % ring * 2 * rowFloats;
                    FindWinners(o, winners, winners + rowFloats);
                    found = o;
                }
                T* target = dxs + line * width * channels;
                for (int column = 0; column < width; column++, target += channels)
                {
                    int ox0 = firstWindows[column], ox1 = endWindows[column];
                    for (int block = 0; block < blocks; block++)
                    {
                        var sum = Vector512<float>.Zero;
                        for (int oy = oy0; oy < oy1; oy++)
                        {
                            float* winners = memory + (oy % ring * 2 * rowFloats + (ox0 * blocks + block) * vector);
                            // The pixel's place in the first of these windows; each next one begins a stride further to the right.
                            int place = (row - oy * w.Stride.Height + w.Padding.Height) * kernelWidth + column - ox0 * strideWidth + w.Padding.Width;
                            for (int ox = ox0; ox < ox1; ox++, winners += blocks * vector, place -= strideWidth)
                            {
                                var wins = Vector512.Equals(Vector512.Load((int*)winners), Vector512.Create(place)).AsSingle();
                                sum += Vector512.Load(winners + rowFloats) & wins;
                            }
                        }
                        int count = Math.Min(vector, channels - block * vector);
                        long at = target + block * vector - dxs;
                        if (count == vector) TStorage.Store16(element.Apply(sum, at), dxs + at);
                        else CpuVector.Store<T, TStorage>(element.Apply(sum, at, count), dxs + at, count);
                    }
                }
            }
        }

        // Of a row of windows: the place of each one's first maximum, row by row of the kernel, and its gradient.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void FindWinners(long o, float* winners, float* gradients)
        {
            int oy = (int)(o % outHeight), top = oy * w.Stride.Height - w.Padding.Height, kernelWidth = w.Kernel.Width;
            int y0 = Math.Max(top, 0), y1 = Math.Min(top + w.Kernel.Height, height);
            T* image = xs + o / outHeight * height * width * channels;
            for (int ox = 0; ox < outWidth; ox++)
            {
                int left = ox * w.Stride.Width - w.Padding.Width, x0 = Math.Max(left, 0), x1 = Math.Min(left + kernelWidth, width);
                for (int c = 0; c < channels; c += vector, winners += vector, gradients += vector)
                {
                    long at = (o * outWidth + ox) * channels + c;
                    var max = TStorage.Load16(ys + at);
                    var winner = Vector512<int>.AllBitsSet;
                    for (int row = y1 - 1; row >= y0; row--) // backwards: the first maximum is the last found
                    {
                        T* pixel = image + ((long)row * width + x1 - 1) * channels + c;
                        for (int column = x1 - 1; column >= x0; column--, pixel -= channels)
                            winner = Vector512.ConditionalSelect(Wins(TStorage.Load16(pixel), max).AsInt32(), Vector512.Create((row - top) * kernelWidth + column - left), winner);
                    }
                    winner.Store((int*)winners);
                    TStorage.Load16(dys + at).Store(gradients);
                }
            }
        }
    }

    /// <summary>All ones where a value is the maximum; NaN is, where the maximum is NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Wins(Vector512<float> value, Vector512<float> max) =>
        Vector512.Equals(value, max) | (Vector512.IsNaN(value) & Vector512.IsNaN(max));
}
