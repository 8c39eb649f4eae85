using System.Runtime.CompilerServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A matrix of working storage seen through some rule. It hands out LINES: rows if <see cref="LinesAreRows"/>, else columns,
/// so that what lies together in memory is read together. Implemented by structs: the JIT compiles the packing once for
/// each reader, without calls. A reader holds pointers into arenas.
/// </summary>
internal unsafe interface IReader
{
    static abstract bool LinesAreRows { get; }

    /// <summary>True if reading 8 elements here and 8 there costs no more than 16 together.</summary>
    static abstract bool ShortRunsAreCheap { get; }

    /// <summary>Line first+i, elements start .. start+count, as floats at target + i * stride, for i below lines.
    /// Up to 15 floats after each line may be overwritten. Where ShortRunsAreCheap, the lines are written in order, so that they
    /// may touch; else <paramref name="stride"/> leaves room for that.</summary>
    void Read(int first, int lines, int start, int count, float* target, int stride);

    /// <summary>A hint that this part of a line will be read soon: into L2 with it, if the rule is simple enough to say where it lies.</summary>
    void Prefetch(int line, int start, int count);
}

/// <summary>Rows of a matrix, <paramref name="pitch"/> elements apart.</summary>
internal readonly unsafe struct RowMajor<T, TStorage>(T* data, int pitch) : IReader
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
{
    private readonly T* _data = data;
    private readonly int _pitch = pitch;

    public static bool LinesAreRows => true;
    public static bool ShortRunsAreCheap => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Read(int first, int lines, int start, int count, float* target, int stride) =>
        TStorage.LoadLines(_data + (long)first * _pitch + start, _pitch, lines, target, stride, count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prefetch(int line, int start, int count) => CpuMemory.Prefetch(_data + (long)line * _pitch + start, count);
}

/// <summary>The transpose of any view, free of charge: rows become columns. Transposed storage is Transpose&lt;RowMajor&gt;.</summary>
internal readonly unsafe struct Transpose<TReader>(TReader inner) : IReader where TReader : unmanaged, IReader
{
    private readonly TReader _inner = inner;

    public static bool LinesAreRows => !TReader.LinesAreRows;
    public static bool ShortRunsAreCheap => TReader.ShortRunsAreCheap;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Read(int first, int lines, int start, int count, float* target, int stride) =>
        _inner.Read(first, lines, start, count, target, stride);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prefetch(int line, int start, int count) => _inner.Prefetch(line, start, count);
}

/// <summary>
/// im2col of an NHWC image, never written down: row = output pixel, column = (kh, kw, c) of one group's channels.
/// The window may have negative padding and any output size: what falls outside the image is zero.
/// </summary>
internal readonly unsafe struct Patches<T, TStorage>(T* image, Conv2dGeometry g, int group, int outHeight, int outWidth) : IReader
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
{
    public Patches(T* image, Conv2dGeometry g, int group) : this(image, g, group, g.OutHeight, g.OutWidth) { }

    private readonly T* _image = image + (long)group * g.GroupChannels;
    private readonly int _height = g.Height, _width = g.Width, _pitch = g.Channels, _channels = g.GroupChannels;
    private readonly int _kernelWidth = g.KernelWidth, _outHeight = outHeight, _outWidth = outWidth;
    private readonly int _strideY = g.Window.Stride.Height, _strideX = g.Window.Stride.Width;
    private readonly int _paddingY = g.Window.Padding.Height, _paddingX = g.Window.Padding.Width;
    private readonly int _dilationY = g.Window.Dilation.Height, _dilationX = g.Window.Dilation.Width;

    // Output pixels of a line, all of whose taps lie within the image's width: from the first to before the second.
    private readonly int _firstInside = Up(g.Window.Padding.Width, g.Window.Stride.Width);
    private readonly int _firstOutside = Up(g.Width + g.Window.Padding.Width - (g.KernelWidth - 1) * g.Window.Dilation.Width, g.Window.Stride.Width);

    public static bool LinesAreRows => true;
    public static bool ShortRunsAreCheap => false;

    public void Prefetch(int line, int start, int count) { }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Read(int first, int lines, int start, int count, float* target, int stride)
    {
        // The divisions once for the whole block; from line to line the pixel only steps right.
        int x = first % _outWidth, y = first / _outWidth % _outHeight, n = first / (_outWidth * _outHeight);
        int firstTap = start / _channels;
        var from = new Tap(firstTap / _kernelWidth, firstTap % _kernelWidth, start % _channels);
        while (lines > 0)
        {
            // Of a line of output pixels, those in the middle see no padding left and right: they are read together, tap by tap.
            int end = Math.Min(_outWidth, x + lines), inside = Math.Clamp(_firstInside, x, end), outside = Math.Clamp(_firstOutside, inside, end);
            var image = _image + (long)n * _height * _width * _pitch;
            for (int i = x; i < inside; i++) ReadBorder(image, i, y, from, count, target + (long)(i - x) * stride);
            if (inside < outside) ReadInside(image, inside, outside - inside, y, from, count, target + (long)(inside - x) * stride, stride);
            for (int i = outside; i < end; i++) ReadBorder(image, i, y, from, count, target + (long)(i - x) * stride);
            lines -= end - x;
            target += (long)(end - x) * stride;
            x = 0;
            if (++y == _outHeight) { y = 0; n++; }
        }
    }

    /// <summary>Pixels x .. x+pixels of a line, all of whose taps lie within the image's width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ReadInside(T* image, int x, int pixels, int y, Tap tap, int count, float* target, int stride)
    {
        // Undilated taps lie together in memory: one run for all that is left of the kernel row.
        bool together = _dilationX == 1 && _pitch == _channels;
        int left = x * _strideX - _paddingX, step = _strideX * _pitch;
        for (int run; count > 0; count -= run, target += run)
        {
            run = Math.Min(count, (together ? (_kernelWidth - tap.X) * _channels : _channels) - tap.Channel);
            int row = y * _strideY - _paddingY + tap.Y * _dilationY;
            float* to = target;
            if ((uint)row < (uint)_height)
            {
                var source = image + ((long)row * _width + left + tap.X * _dilationX) * _pitch + tap.Channel;
                for (int i = 0; i < pixels; i++, source += step, to += stride) TStorage.LoadWide(source, to, run);
            }
            else
            {
                for (int i = 0; i < pixels; i++, to += stride) new Span<float>(to, run).Clear();
            }
            tap = together ? new Tap(tap.Y + 1, 0, 0) : Next(tap);
        }
    }

    /// <summary>One pixel, tap by tap.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ReadBorder(T* image, int x, int y, Tap tap, int count, float* target)
    {
        int top = y * _strideY - _paddingY, left = x * _strideX - _paddingX;
        for (int run; count > 0; count -= run, target += run, tap = Next(tap))
        {
            run = Math.Min(count, _channels - tap.Channel);
            int row = top + tap.Y * _dilationY, column = left + tap.X * _dilationX;
            if ((uint)row < (uint)_height && (uint)column < (uint)_width)
                TStorage.LoadWide(image + ((long)row * _width + column) * _pitch + tap.Channel, target, run);
            else
                new Span<float>(target, run).Clear();
        }
    }

    private static int Up(int pixels, int stride) => pixels <= 0 ? 0 : (pixels + stride - 1) / stride;

    private Tap Next(Tap tap) => tap.X + 1 < _kernelWidth ? new Tap(tap.Y, tap.X + 1, 0) : new Tap(tap.Y + 1, 0, 0);

    /// <summary>A place in a window.</summary>
    private readonly record struct Tap(int Y, int X, int Channel);
}

/// <summary>
/// im2col of a one-channel image (stride 1), tap by tap: line = column (kh, kw), along it the output pixels, which lie
/// together for a whole image row. Patches reads 3 elements at a time there: 0.5 G elements/s.
/// </summary>
internal readonly unsafe struct OneChannelPatches<T, TStorage>(T* image, Conv2dGeometry g) : IReader
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
{
    private readonly T* _image = image;
    private readonly int _height = g.Height, _width = g.Width, _kernelWidth = g.KernelWidth, _outHeight = g.OutHeight, _outWidth = g.OutWidth;
    private readonly int _paddingY = g.Window.Padding.Height, _paddingX = g.Window.Padding.Width;
    private readonly int _dilationY = g.Window.Dilation.Height, _dilationX = g.Window.Dilation.Width;

    public static bool LinesAreRows => false;
    public static bool ShortRunsAreCheap => false;

    public void Prefetch(int line, int start, int count) { }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Read(int first, int lines, int start, int count, float* target, int stride)
    {
        int x0 = start % _outWidth, y0 = start / _outWidth % _outHeight, n0 = start / (_outWidth * _outHeight);
        for (; lines > 0; lines--, first++, target += stride)
        {
            int down = first / _kernelWidth * _dilationY - _paddingY, right = first % _kernelWidth * _dilationX - _paddingX;
            int x = x0, y = y0, n = n0;
            float* to = target;
            for (int rest = count; rest > 0;)
            {
                int run = Math.Min(_outWidth - x, rest), row = y + down;
                // x .. x+run of the output sees columns x+right .. of the image: cut what is outside on either side.
                int from = x + right, before = Math.Clamp(-from, 0, run), inside = (uint)row < (uint)_height ? Math.Clamp(_width - from - before, 0, run - before) : 0;
                if (inside < run) new Span<float>(to, run).Clear();
                if (inside > 0)
                {
                    TStorage.LoadWide(_image + ((long)n * _height + row) * _width + from + before, to + before, inside);
                    if (before + inside < run) new Span<float>(to + before + inside, run - before - inside).Clear();
                }
                to += run;
                rest -= run;
                x = 0;
                if (++y == _outHeight) { y = 0; n++; }
            }
        }
    }
}

/// <summary>
/// One group's weights [kh, kw, c, filters] as the input gradient's B operand: row (kh, kw, filter) with the taps of one
/// <see cref="InputClass"/> in reverse order, column c.
/// </summary>
internal readonly unsafe struct ReversedTaps<T, TStorage>(T* weights, Conv2dGeometry g, int group, InputClass rows, InputClass columns) : IReader
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
{
    private readonly T* _lastTap = weights + group * g.GroupWeights + ((long)rows.LastTap * g.KernelWidth + columns.LastTap) * g.GroupChannels * g.GroupFilters;
    private readonly int _channels = g.GroupChannels, _filters = g.GroupFilters, _across = columns.Taps;
    private readonly int _down = rows.TapStep * g.KernelWidth, _right = columns.TapStep;

    public static bool LinesAreRows => false;
    public static bool ShortRunsAreCheap => false;

    public void Prefetch(int line, int start, int count) { }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Read(int first, int lines, int start, int count, float* target, int stride)
    {
        for (; lines > 0; lines--, first++, target += stride)
        {
            int tap = start / _filters, y = tap / _across, x = tap % _across, f = start % _filters;
            float* to = target;
            for (int left = count; left > 0; f = 0)
            {
                int run = Math.Min(_filters - f, left);
                TStorage.LoadWide(_lastTap - ((long)(y * _down + x * _right) * _channels - first) * _filters + f, to, run);
                to += run;
                left -= run;
                if (++x == _across) { x = 0; y++; }
            }
        }
    }
}
