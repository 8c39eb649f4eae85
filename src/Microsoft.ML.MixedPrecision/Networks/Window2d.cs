namespace Microsoft.ML.MixedPrecision;

/// <summary>A height and a width; an <see cref="int"/> converts to a square.</summary>
/// <param name="Height">Extent along the rows of an image.</param>
/// <param name="Width">Extent along its columns.</param>
public readonly record struct Size2d(int Height, int Width)
{
    /// <summary>A square.</summary>
    public static implicit operator Size2d(int side) => new(side, side);

    /// <inheritdoc/>
    public override string ToString() => Height == Width ? $"{Height}" : $"{Height}x{Width}";
}

/// <summary>Where a window of taps moves over an image: shared by convolution and pooling.</summary>
internal readonly record struct Window2d(Size2d Kernel, Size2d Stride, Size2d Padding, Size2d Dilation)
{
    /// <summary>A window as a user gave it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A kernel, stride or dilation below 1, or a padding below 0.</exception>
    public static Window2d Of(Size2d kernel, Size2d stride, Size2d padding, Size2d dilation)
    {
        Expect(kernel, 1, nameof(kernel));
        Expect(stride, 1, nameof(stride));
        Expect(padding, 0, nameof(padding));
        Expect(dilation, 1, nameof(dilation));
        return new Window2d(kernel, stride, padding, dilation);

        static void Expect(Size2d size, int least, string name)
        {
            if (size.Height < least || size.Width < least) throw new ArgumentOutOfRangeException(name, size, $"{name}: expected at least {least} in height and width, got {size}.");
        }
    }

    /// <summary>floor((in + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, as PyTorch has it; less than 1 where the window does not fit.</summary>
    public int OutHeight(int height) => Out(height, Kernel.Height, Stride.Height, Padding.Height, Dilation.Height);

    public int OutWidth(int width) => Out(width, Kernel.Width, Stride.Width, Padding.Width, Dilation.Width);

    private static int Out(int size, int kernel, int stride, int padding, int dilation)
    {
        int room = size + 2 * padding - dilation * (kernel - 1) - 1;
        return room < 0 ? 0 : room / stride + 1;
    }
}

/// <summary>
/// The geometry of one 2-D convolution. Images are NHWC; the weights are [groups, kh, kw, channels/groups, filters/groups],
/// so that each group's weights lie together as a [Patch, GroupFilters] matrix.
/// </summary>
internal sealed record Conv2dGeometry(int Batch, int Height, int Width, int Channels, int Filters, Window2d Window, int Groups)
{
    /// <summary>Whether a window is one pixel, and each pixel has one: a linear layer over the channels.</summary>
    public bool IsPointwise => Window with { Dilation = 1 } == new Window2d(1, 1, 0, 1);

    public int KernelHeight => Window.Kernel.Height;
    public int KernelWidth => Window.Kernel.Width;
    public int OutHeight => Window.OutHeight(Height);
    public int OutWidth => Window.OutWidth(Width);
    public int GroupChannels => Channels / Groups;
    public int GroupFilters => Filters / Groups;

    /// <summary>Elements of the window.</summary>
    public int Taps => KernelHeight * KernelWidth;

    /// <summary>Taps times channels that one output element of a group sums over.</summary>
    public int Patch => Taps * GroupChannels;

    public int InPixels => Batch * Height * Width;
    public int OutPixels => Batch * OutHeight * OutWidth;

    /// <summary>Elements of one group's weights.</summary>
    public long GroupWeights => (long)Patch * GroupFilters;
}
