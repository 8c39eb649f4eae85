using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

/// <summary>What a row or a column contributes to an element's place. X is added to the place; what the others mean is the operand's own affair.</summary>
internal readonly record struct OperandPart(int X, int Y, int Z);

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

    /// <summary>The element's place in the source, or -1 where it is a zero that nobody stored. Without branches: it is the inner loop of a convolution.</summary>
    int Place(OperandPart row, OperandPart column);
}

/// <summary>The other operand with rows and columns exchanged.</summary>
internal readonly record struct GpuTransposed<TOperand>(TOperand Operand) : IGpuOperand where TOperand : struct, IGpuOperand
{
    public int ColumnsAdjoin => 1 - Operand.ColumnsAdjoin;
    public OperandPart Row(int row) => Operand.Column(row);
    public OperandPart Column(int column) => Operand.Row(column);
    public int Place(OperandPart row, OperandPart column) => Operand.Place(column, row);
}

/// <summary><see cref="DenseOperand"/>.</summary>
internal readonly record struct GpuDense(int Start, int RowStep, int ColumnStep) : IGpuOperand
{
    public GpuDense(DenseOperand o) : this(checked((int)o.Start), o.Transposed ? 1 : o.Pitch, o.Transposed ? o.Pitch : 1) { }

    public int ColumnsAdjoin => ColumnStep == 1 ? 1 : 0;
    public OperandPart Row(int row) => new(Start + row * RowStep, 0, 0);
    public OperandPart Column(int column) => new(column * ColumnStep, 0, 0);
    public int Place(OperandPart row, OperandPart column) => row.X + column.X;
}

/// <summary><see cref="PatchesOperand"/>: row = output pixel (n, y, x), column = (kh, kw, c).</summary>
internal readonly record struct GpuPatches : IGpuOperand
{
    private readonly Divisor _outPixels, _outWidth, _groupChannels, _kernelWidth;
    private readonly int _height, _width, _channels, _firstChannel;
    private readonly int _strideY, _strideX, _paddingY, _paddingX, _dilationY, _dilationX;

    public GpuPatches(Conv2dGeometry g, int group)
    {
        (_outPixels, _outWidth) = (new(g.OutHeight * g.OutWidth), new(g.OutWidth));
        (_groupChannels, _kernelWidth) = (new(g.GroupChannels), new(g.KernelWidth));
        (_height, _width, _channels, _firstChannel) = (g.Height, g.Width, g.Channels, group * g.GroupChannels);
        ((_strideY, _strideX), (_paddingY, _paddingX), (_dilationY, _dilationX)) = (g.Window.Stride, g.Window.Padding, g.Window.Dilation);
    }

    public int ColumnsAdjoin => 1;

    /// <summary>X: the image's first element in the group; Y, Z: the pixel under the window's first tap, maybe in the padding.</summary>
    public OperandPart Row(int row)
    {
        int n = _outPixels.Divide(row), pixel = row - n * _outPixels.Value;
        int y = _outWidth.Divide(pixel), x = pixel - y * _outWidth.Value;
        return new(n * _height * _width * _channels + _firstChannel, y * _strideY - _paddingY, x * _strideX - _paddingX);
    }

    /// <summary>X: the channel; Y, Z: the tap's distance from the first, in pixels.</summary>
    public OperandPart Column(int column)
    {
        int tap = _groupChannels.Divide(column), c = column - tap * _groupChannels.Value;
        int kh = _kernelWidth.Divide(tap), kw = tap - kh * _kernelWidth.Value;
        return new(c, kh * _dilationY, kw * _dilationX);
    }

    public int Place(OperandPart row, OperandPart column)
    {
        int y = row.Y + column.Y, x = row.Z + column.Z;
        return Utilities.Select(((uint)y < (uint)_height) & ((uint)x < (uint)_width), row.X + (y * _width + x) * _channels + column.X, -1);
    }
}

/// <summary><see cref="GradientPatchesOperand"/>: row = input pixel (n, y, x), column = (kh, kw, filter), taps in reverse order.</summary>
internal readonly record struct GpuGradientPatches : IGpuOperand
{
    private readonly Divisor _inPixels, _inWidth, _groupFilters, _kernelWidth, _strideY, _strideX;
    private readonly int _lastTapY, _outHeight, _outWidth, _filters, _firstFilter;
    private readonly int _paddingY, _paddingX, _dilationY, _dilationX;

    public GpuGradientPatches(Conv2dGeometry g, int group)
    {
        (_inPixels, _inWidth) = (new(g.Height * g.Width), new(g.Width));
        (_groupFilters, _kernelWidth, _lastTapY) = (new(g.GroupFilters), new(g.KernelWidth), g.KernelHeight - 1);
        (_strideY, _strideX) = (new(g.Window.Stride.Height), new(g.Window.Stride.Width));
        (_outHeight, _outWidth, _filters, _firstFilter) = (g.OutHeight, g.OutWidth, g.Filters, group * g.GroupFilters);
        ((_paddingY, _paddingX), (_dilationY, _dilationX)) = (g.Window.Padding, g.Window.Dilation);
    }

    public int ColumnsAdjoin => 1;

    /// <summary>X: the image's first gradient in the group; Y, Z: the input pixel, counted from the padding's edge.</summary>
    public OperandPart Row(int row)
    {
        int n = _inPixels.Divide(row), pixel = row - n * _inPixels.Value;
        int y = _inWidth.Divide(pixel), x = pixel - y * _inWidth.Value;
        return new(n * _outHeight * _outWidth * _filters + _firstFilter, y + _paddingY, x + _paddingX);
    }

    /// <summary>X: the filter; Y, Z: how far the tap lies behind the window's first.</summary>
    public OperandPart Column(int column)
    {
        int tap = _groupFilters.Divide(column), filter = column - tap * _groupFilters.Value;
        int kh = _kernelWidth.Divide(tap), kw = tap - kh * _kernelWidth.Value;
        return new(filter, (_lastTapY - kh) * _dilationY, (_kernelWidth.Value - 1 - kw) * _dilationX);
    }

    public int Place(OperandPart row, OperandPart column)
    {
        // Where top or left is negative, the quotient of its 32 bits is at least 2^31 / stride: beyond the end.
        int top = row.Y - column.Y, left = row.Z - column.Z, y = _strideY.Divide(top), x = _strideX.Divide(left);
        bool there = (y * _strideY.Value == top) & (x * _strideX.Value == left) & ((uint)y < (uint)_outHeight) & ((uint)x < (uint)_outWidth);
        return Utilities.Select(there, row.X + (y * _outWidth + x) * _filters + column.X, -1);
    }
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

    public int Place(OperandPart row, OperandPart column) => row.X + column.X;
}
