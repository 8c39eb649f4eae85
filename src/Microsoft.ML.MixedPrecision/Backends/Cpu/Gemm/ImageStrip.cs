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

    /// <summary>The first row of the kernel in which output rows <paramref name="y"/> to <paramref name="last"/> see the image, and how many there are; in the others they see padding, whose products are 0.</summary>
    public (int First, int Count) KernelRows(int y, int last)
    {
        int first = Math.Max(0, _top - last);
        return (first, Math.Max(0, Math.Min(KernelHeight, _height + _top - y) - first));
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

    private static int Gap(Conv2dGeometry g, int outWidth) =>
        Math.Max(g.Window.Padding.Width, outWidth + g.KernelWidth - 1 - g.Window.Padding.Width - g.Width);

    private static long Floats(int rows, int pitch, Conv2dGeometry g) => (long)rows * pitch * g.Channels;
}
