using System.Runtime.CompilerServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Some rows of an NHWC image as floats with their padding, written once: the window of an undilated convolution of stride 1
/// walks over it without a copy of its patches. Between two rows lie as many zero pixels as the larger of the paddings left and
/// right, so that they serve both: output pixel (y, x) sees its taps (kh, kw, c) at ((y + kh) * <see cref="Pitch"/> + x + kw) * channels + c.
/// Output pixels with x from the output's width to the pitch are none: rubbish that is not stored, at most 1 in 9 in a small image.
/// </summary>
internal readonly unsafe struct ImageStrip<T, TStorage>(T* image, Conv2dGeometry g, int outHeight, int outWidth)
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
{
    private readonly T* _image = image;
    private readonly int _height = g.Height, _width = g.Width, _top = g.Window.Padding.Height, _left = g.Window.Padding.Width;

    public readonly int Channels = g.Channels, KernelHeight = g.KernelHeight, KernelWidth = g.KernelWidth, OutHeight = outHeight, OutWidth = outWidth;

    /// <summary>Pixels from one row to the next.</summary>
    public readonly int Pitch = g.Width + Gap(g, outWidth);

    /// <summary>Elements of a patch that lie together: a row of the kernel.</summary>
    public int Run => KernelWidth * Channels;

    /// <summary>Of one pass of the convolution, padding included.</summary>
    public double Flop(int batch, int filters) => 2.0 * batch * OutHeight * OutWidth * filters * KernelHeight * Run;

    /// <summary>Whether a geometry can be walked over like this, with rows that fit <paramref name="floats"/>.</summary>
    public static bool Fits(Conv2dGeometry g, int outWidth, int floats) =>
        g.Window.Stride == 1 && g.Window.Dilation == 1 && g.Groups == 1 && g.Window.Padding is { Height: >= 0, Width: >= 0 } &&
        Floats(g.KernelHeight, g.Width + Gap(g, outWidth), g) <= floats;

    /// <summary>Output rows whose strip has at most so many floats; at least 1.</summary>
    public int RowsWithin(int floats)
    {
        int rows = Math.Clamp(floats / (Pitch * Channels) - KernelHeight + 1, 1, OutHeight), strips = (OutHeight + rows - 1) / rows;
        return (OutHeight + strips - 1) / strips;
    }

    /// <summary>
    /// How tiles of so many pixels go over a strip: pixels that are walked over together, and from their first to the next's. All of
    /// them, what lies between rows too, or row by row where rows fill their tiles better: 24 pixels of 26 are two tiles of 12.
    /// </summary>
    public (int Length, int Step) Stretch(int rows, int tile) =>
        rows * Tiles(OutWidth, tile) < Tiles((rows - 1) * Pitch + OutWidth, tile) ? (OutWidth, Pitch) : ((rows - 1) * Pitch + OutWidth, rows * Pitch);

    /// <summary>Tiles that go so over a strip.</summary>
    public int TilesOf(int rows, int tile)
    {
        var (length, step) = Stretch(rows, tile);
        return Tiles(length, tile) * (rows * Pitch / step);
    }

    private static int Tiles(int pixels, int tile) => (pixels + tile - 1) / tile;

    /// <summary>Pixels of a strip of so many output rows, all that its windows see: where the next image begins.</summary>
    public int Pixels(int rows) => (rows + KernelHeight - 1) * Pitch;

    /// <summary>Of a strip's output rows, those that see the image in one row of the kernel: the first, and how many there are.</summary>
    public (int First, int Count) OutputRows(int y, int rows, int kernelRow)
    {
        int first = Math.Clamp(_top - kernelRow - y, 0, rows);
        return (first, Math.Clamp(_height + _top - kernelRow - y, first, rows) - first);
    }

    /// <summary>The first row of the kernel in which output rows <paramref name="y"/> to <paramref name="last"/> see the image, and how many there are; in the others they see padding, whose products are 0.</summary>
    public (int First, int Count) KernelRows(int y, int last)
    {
        int first = Math.Max(0, _top - last);
        return (first, Math.Max(0, Math.Min(KernelHeight, _height + _top - y) - first));
    }

    /// <summary>The output columns that see the image in one column of the kernel: the first, and the one after the last.</summary>
    public (int First, int End) OutputColumns(int kernelColumn)
    {
        int first = Math.Clamp(_left - kernelColumn, 0, OutWidth);
        return (first, Math.Clamp(_width + _left - kernelColumn, first, OutWidth));
    }

    /// <summary>Writes what output rows y .. y+rows of example n see.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Fill(int n, int y, int rows, float* strip)
    {
        int row = y - _top, end = row + rows + KernelHeight - 1, length = _width * Channels, gap = (Pitch - _width) * Channels;
        new Span<float>(strip, _left * Channels).Clear();
        strip += _left * Channels;
        for (; row < end; row++, strip += length + gap)
        {
            if ((uint)row < (uint)_height) TStorage.LoadWide(_image + ((long)n * _height + row) * length, strip, length);
            else new Span<float>(strip, length).Clear();
            new Span<float>(strip + length, gap).Clear();
        }
    }

    /// <summary>Floats of a channel's plane of so many output rows, with room for <paramref name="beyond"/> more: an odd number of cache lines, so that the planes spread over all L1 sets.</summary>
    public int Plane(int rows, int beyond) => (((rows + KernelHeight - 1) * Pitch + _left + beyond) / 16 | 1) * 16 + 32;

    /// <summary>
    /// The same as <see cref="Fill"/> with the channels, a multiple of 16, in planes: output pixel (y, x) sees its tap (kh, kw, c) at
    /// c * <paramref name="plane"/> + (y + kh) * <see cref="Pitch"/> + x + kw. <paramref name="line"/> takes 16 pixels more than a row.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void FillPlanes(int n, int y, int rows, float* strip, int plane, float* line)
    {
        int row = y - _top, end = row + rows + KernelHeight - 1, length = _width * Channels, gap = Pitch - _width;
        Clear(strip, plane, _left);
        strip += _left;
        // The last sixteen of a row may reach into the next: rows are written in order, and a gap after what is before it.
        new Span<float>(line + length, 16 * Channels).Clear();
        for (; row < end; row++, strip += Pitch)
        {
            if ((uint)row >= (uint)_height)
            {
                Clear(strip, plane, Pitch);
                continue;
            }
            TStorage.Load(_image + ((long)n * _height + row) * length, line, length);
            for (int x = 0; x < _width; x += 16)
                for (int c = 0; c < Channels; c += 16) Packing.Transpose16(line + x * Channels + c, Channels, strip + (long)c * plane + x, plane);
            Clear(strip + _width, plane, gap);
        }
    }

    private void Clear(float* strip, int plane, int count)
    {
        for (int c = 0; c < Channels; c++, strip += plane)
            for (int i = 0; i < count; i++) strip[i] = 0;
    }

    /// <summary>Sums of <paramref name="count"/> pixels of a strip, of them those that the output has: <paramref name="row"/> is the batch's row in which the strip begins, <paramref name="pixel"/> the strip's in which the tile does.</summary>
    public void Store<TMap, TSink>(float* tile, int tilePitch, int row, int pixel, int count, int column, int columns, TMap map, TSink sink)
        where TMap : unmanaged, IMap
        where TSink : unmanaged, ISink
    {
        int y = pixel / Pitch, x = pixel % Pitch;
        for (; count > 0; y++, x = 0)
        {
            int valid = Math.Min(count, OutWidth - x), all = Math.Min(count, Pitch - x);
            if (valid > 0) sink.Store(tile, tilePitch, (row + y) * OutWidth + x, column, valid, columns, map);
            tile += all * tilePitch;
            count -= all;
        }
    }

    private static int Gap(Conv2dGeometry g, int outWidth) =>
        Math.Max(g.Window.Padding.Width, outWidth + g.KernelWidth - 1 - g.Window.Padding.Width - g.Width);

    private static long Floats(int rows, int pitch, Conv2dGeometry g) => (long)rows * pitch * g.Channels;
}
