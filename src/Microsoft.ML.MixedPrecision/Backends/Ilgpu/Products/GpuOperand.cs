using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

/// <summary>What a row or a column contributes to an element: its place in the source is the sum of both X; what the others mean is the operand's own affair.</summary>
internal readonly record struct OperandPart(int X, int Y, int Z)
{
    /// <summary>One of two, without a branch.</summary>
    public static OperandPart Select(bool takeFirst, OperandPart first, OperandPart second) => new(
        Utilities.Select(takeFirst, first.X, second.X), Utilities.Select(takeFirst, first.Y, second.Y), Utilities.Select(takeFirst, first.Z, second.Z));
}

/// <summary>
/// A <see cref="MatrixOperand"/> as a kernel sees it: rows and columns are taken apart on their own, because one of the two
/// stays the same for a whole line of the tile, and put together to the place of an element.
/// </summary>
internal interface IGpuOperand
{
    /// <summary>1 where neighbouring columns are neighbours in memory, 0 where neighbouring rows are.</summary>
    int ColumnsAdjoin { get; }

    OperandPart Row(int row);

    OperandPart Column(int column);

    /// <summary>Whether the source has the element: it is a zero that nobody stored otherwise. Without branches: it is the inner loop of a convolution.</summary>
    bool Has(OperandPart row, OperandPart column);
}

/// <summary>The other operand with rows and columns exchanged.</summary>
internal readonly record struct GpuTransposed<TOperand>(TOperand Operand) : IGpuOperand where TOperand : struct, IGpuOperand
{
    public int ColumnsAdjoin => 1 - Operand.ColumnsAdjoin;
    public OperandPart Row(int row) => Operand.Column(row);
    public OperandPart Column(int column) => Operand.Row(column);
    public bool Has(OperandPart row, OperandPart column) => Operand.Has(column, row);
}

/// <summary><see cref="DenseOperand"/>.</summary>
internal readonly record struct GpuDense(int Start, int RowStep, int ColumnStep) : IGpuOperand
{
    public GpuDense(DenseOperand o) : this(checked((int)o.Start), o.Transposed ? 1 : o.Pitch, o.Transposed ? o.Pitch : 1) { }

    public int ColumnsAdjoin => ColumnStep == 1 ? 1 : 0;
    public OperandPart Row(int row) => new(Start + row * RowStep, 0, 0);
    public OperandPart Column(int column) => new(column * ColumnStep, 0, 0);
    public bool Has(OperandPart row, OperandPart column) => true;
}

/// <summary>
/// <see cref="PatchesOperand"/>: row = output pixel (n, y, x), column = (kh, kw, c). And <see cref="GradientPatchesOperand"/>, where the gradient is the image: the input
/// gradient of a convolution without a stride is a convolution of the output gradient, and that with a stride is one for each of its <see cref="GradientPhases"/>.
/// </summary>
internal readonly record struct GpuPatches : IGpuOperand
{
    private readonly Divisor _outHeight, _outWidth, _groupChannels, _kernelWidth, _dilationY, _dilationX;
    private readonly int _height, _width, _channels, _firstChannel;
    private readonly int _strideY, _strideX, _paddingY, _paddingX;

    public GpuPatches(Conv2dGeometry g, int group) : this(
        new(g.OutHeight), new(g.OutWidth), new(g.GroupChannels), new(g.KernelWidth), new(g.Height, g.Width), g.Channels, group * g.GroupChannels, g.Window.Stride, g.Window.Padding, new(g.Window.Dilation.Height), new(g.Window.Dilation.Width))
    {
    }

    /// <param name="outHeight">Of the pixels that are rows.</param>
    /// <param name="kernelWidth">Taps across.</param>
    /// <param name="firstChannel">The group's first.</param>
    /// <param name="padding">May be negative.</param>
    public GpuPatches(Divisor outHeight, Divisor outWidth, Divisor groupChannels, Divisor kernelWidth, Size2d size, int channels, int firstChannel, Size2d stride, Size2d padding, Divisor dilationY, Divisor dilationX)
    {
        (_outHeight, _outWidth, _groupChannels, _kernelWidth) = (outHeight, outWidth, groupChannels, kernelWidth);
        (_height, _width, _channels, _firstChannel) = (size.Height, size.Width, channels, firstChannel);
        (_strideY, _strideX, _paddingY, _paddingX) = (stride.Height, stride.Width, padding.Height, padding.Width);
        (_dilationY, _dilationX) = (dilationY, dilationX);
    }

    /// <summary>The output gradient of a convolution without a stride, as the left operand of its input gradient.</summary>
    public static GpuPatches OfGradient(Conv2dGeometry g, int group)
    {
        var (kernel, stride, padding, dilation) = g.Window;
        var full = new Size2d(dilation.Height * (kernel.Height - 1) - padding.Height, dilation.Width * (kernel.Width - 1) - padding.Width);
        return new(new Conv2dGeometry(g.Batch, g.OutHeight, g.OutWidth, g.Filters, g.Channels, new(kernel, stride, full, dilation), g.Groups), group);
    }

    public int ColumnsAdjoin => 1;

    /// <summary>X: the place under the window's first tap, which may be in the padding; Y, Z: its pixel.</summary>
    public OperandPart Row(int row)
    {
        int line = _outWidth.Divide(row), n = _outHeight.Divide(line);
        int y = (line - n * _outHeight.Value) * _strideY - _paddingY, x = (row - line * _outWidth.Value) * _strideX - _paddingX;
        return new(((n * _height + y) * _width + x) * _channels + _firstChannel, y, x);
    }

    /// <summary>X: how far the channel lies from the first tap's first; Y, Z: the tap's distance from the first, in pixels.</summary>
    public OperandPart Column(int column)
    {
        var tap = Tap(column);
        int y = tap.Y * _dilationY.Value, x = tap.Z * _dilationX.Value;
        return new((y * _width + x) * _channels + tap.X, y, x);
    }

    public bool Has(OperandPart row, OperandPart column) => ((uint)(row.Y + column.Y) < (uint)_height) & ((uint)(row.Z + column.Z) < (uint)_width);

    /// <summary>A row for <see cref="GpuMaskedPatches"/>. Y: a bit for each kh that lies outside of the image, and from bit 16 on for each kw.</summary>
    public OperandPart MaskedRow(int row)
    {
        var part = Row(row);
        return new(part.X, Outside(part.Y, _height, _dilationY) | Outside(part.Z, _width, _dilationX) << GpuMaskedPatches.MostTaps, 0);
    }

    /// <summary>A column for <see cref="GpuMaskedPatches"/>. Y: the bits of its tap.</summary>
    public OperandPart MaskedColumn(int column)
    {
        var tap = Tap(column);
        return new((tap.Y * _dilationY.Value * _width + tap.Z * _dilationX.Value) * _channels + tap.X, 1 << tap.Y | 1 << (GpuMaskedPatches.MostTaps + tap.Z), 0);
    }

    /// <summary>X: a column's channel; Y, Z: its tap.</summary>
    private OperandPart Tap(int column)
    {
        int tap = _groupChannels.Divide(column), kh = _kernelWidth.Divide(tap);
        return new(column - tap * _groupChannels.Value, kh, tap - kh * _kernelWidth.Value);
    }

    /// <summary>The taps of a window that begins at a pixel of one axis: those before the first pixel, and those after the last.</summary>
    private static int Outside(int pixel, int size, Divisor dilation)
    {
        int before = dilation.Divide(Math.Max(-pixel, 0) + dilation.Value - 1), inside = dilation.Divide(Math.Max(size - pixel, 0) + dilation.Value - 1);
        const int all = (1 << GpuMaskedPatches.MostTaps) - 1;
        return (1 << Math.Min(before, GpuMaskedPatches.MostTaps)) - 1 | all << Math.Min(inside, GpuMaskedPatches.MostTaps) & all;
    }
}

/// <summary>
/// <see cref="GpuPatches"/> for a thread whose rows stay the same for all k: what of a row's window lies outside of the image is found once, and takes one instruction for
/// each k, where two comparisons of sums take four.
/// </summary>
internal readonly record struct GpuMaskedPatches(GpuPatches Patches) : IGpuOperand
{
    /// <summary>Along each axis of the kernel: half the bits of a mask.</summary>
    public const int MostTaps = 16;

    public int ColumnsAdjoin => 1;
    public OperandPart Row(int row) => Patches.MaskedRow(row);
    public OperandPart Column(int column) => Patches.MaskedColumn(column);
    public bool Has(OperandPart row, OperandPart column) => (row.Y & column.Y) == 0;
}

/// <summary><see cref="ReversedTapsOperand"/>: row = (kh, kw, filter), taps in reverse order, column = c.</summary>
internal readonly record struct GpuReversedTaps : IGpuOperand
{
    private readonly Divisor _groupFilters;
    private readonly int _lastTap, _tapWeights;

    public GpuReversedTaps(Conv2dGeometry g, int group)
    {
        _groupFilters = new(g.GroupFilters);
        _tapWeights = g.GroupChannels * g.GroupFilters;
        _lastTap = checked((int)(group * g.GroupWeights)) + (g.KernelHeight * g.KernelWidth - 1) * _tapWeights;
    }

    public int ColumnsAdjoin => 0;

    public OperandPart Row(int row)
    {
        int tap = _groupFilters.Divide(row);
        return new(_lastTap - tap * _tapWeights + row - tap * _groupFilters.Value, 0, 0);
    }

    public OperandPart Column(int column) => new(column * _groupFilters.Value, 0, 0);

    public bool Has(OperandPart row, OperandPart column) => true;
}

/// <summary><see cref="ReversedTapsOperand"/> with the taps of one phase of a stride: see <see cref="GradientPhases"/>.</summary>
/// <param name="TapsAcross">Of the phase.</param>
/// <param name="LastTap">The first weight of the phase's last tap.</param>
/// <param name="Down">Weights from one of the phase's taps to the one below.</param>
/// <param name="Right">Weights from one of the phase's taps to the next.</param>
internal readonly record struct GpuPhaseTaps(Divisor GroupFilters, Divisor TapsAcross, int LastTap, int Down, int Right) : IGpuOperand
{
    public int ColumnsAdjoin => 0;

    public OperandPart Row(int row)
    {
        int tap = GroupFilters.Divide(row), y = TapsAcross.Divide(tap), x = tap - y * TapsAcross.Value;
        return new(row - tap * GroupFilters.Value - y * Down - x * Right, 0, 0);
    }

    public OperandPart Column(int column) => new(LastTap + column * GroupFilters.Value, 0, 0);

    public bool Has(OperandPart row, OperandPart column) => true;
}
