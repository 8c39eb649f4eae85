using System.Numerics;
using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// One axis of <see cref="GradientPhases"/>: the <see cref="InputClass"/>es of the axis in closed form, because a kernel takes no array of them. Phase i is that of
/// the pixels for which (pixel + padding) mod stride = i, so that without dilation its first tap is i, and phases with more taps come before those with fewer.
/// </summary>
internal readonly struct PhaseAxis
{
    private readonly Divisor _stride, _common, _tapStep, _mostPixels, _fewestPixels, _mostTaps, _fewestTaps;
    private readonly int _size, _kernel, _padding, _dilation, _firstPixel, _inverse, _ahead;

    public PhaseAxis(int size, int kernel, int stride, int padding, int dilation)
    {
        int common = (int)BigInteger.GreatestCommonDivisor(dilation, stride), tapStep = stride / common;
        (_size, _kernel, _padding, _dilation) = (size, kernel, padding, dilation);
        (_stride, _common, _tapStep) = (new(stride), new(common), new(tapStep));
        (MostPixels, MostTaps) = ((size + stride - 1) / stride, (kernel + tapStep - 1) / tapStep);
        (_mostPixels, _fewestPixels) = (new(MostPixels), new(Math.Max(size / stride, 1)));
        (_mostTaps, _fewestTaps) = (new(MostTaps), new(Math.Max(kernel / tapStep, 1)));
        _firstPixel = (stride - padding % stride) % stride;
        _inverse = Enumerable.Range(0, tapStep).First(i => (long)i * (dilation / common) % tapStep == 1 % tapStep);
        _ahead = checked(Math.Max(kernel, stride) * dilation); // a multiple of the stride of it is added to what may be negative
        _ = checked(_ahead * stride + size + padding);
    }

    /// <summary>Of any phase.</summary>
    public int MostPixels { get; }

    /// <inheritdoc cref="MostPixels"/>
    public int MostTaps { get; }

    /// <summary>From one of a phase's taps to the next.</summary>
    public int TapStep => _tapStep.Value;

    /// <summary>Output pixels from one of a phase's taps to the next.</summary>
    public int Dilation => _dilation / _common.Value;

    /// <summary>Whether there are phases without taps.</summary>
    public bool SkipsPixels => _kernel < _tapStep.Value || _common.Value > 1;

    public static AxisPhase At(PhaseAxis axis, int index)
    {
        int stride = axis._stride.Value, tapStep = axis._tapStep.Value;
        int first = index + axis._firstPixel;
        first -= Utilities.Select(first < stride, 0, stride);
        // tap * dilation mod stride = index: a multiple of what dilation and stride have in common, or no tap at all.
        int share = axis._common.Divide(index), turned = share * axis._inverse, firstTap = turned - axis._tapStep.Divide(turned) * tapStep;
        bool seen = (share * axis._common.Value == index) & (firstTap < axis._kernel);
        int taps = Utilities.Select(seen, axis._tapStep.Divide(Math.Max(axis._kernel - 1 - firstTap, 0)) + 1, 0), lastTap = firstTap + Math.Max(taps - 1, 0) * tapStep;
        int offset = axis._stride.Divide(first + axis._padding + axis._ahead * stride - lastTap * axis._dilation) - axis._ahead;
        int pixels = Utilities.Select(first < axis._size, axis._stride.Divide(Math.Max(axis._size - 1 - first, 0)) + 1, 0);
        return new(first, pixels, taps, lastTap, offset,
            Divisor.Select(pixels == axis._mostPixels.Value, axis._mostPixels, axis._fewestPixels), Divisor.Select(taps == axis._mostTaps.Value, axis._mostTaps, axis._fewestTaps));
    }
}

/// <summary>A phase of one axis; as <see cref="InputClass"/>, with 0 pixels where an image is smaller than the stride.</summary>
internal readonly struct AxisPhase(int first, int pixels, int taps, int lastTap, int offset, Divisor byPixels, Divisor byTaps)
{
    public readonly int First = first, Pixels = pixels, Taps = taps, LastTap = lastTap, Offset = offset;
    public readonly Divisor ByPixels = byPixels, ByTaps = byTaps;
}

/// <summary>
/// The input gradient of a convolution with a stride as several products, the phases: the pixels of each, a lattice, see the same taps, and neighbours on it are
/// neighbouring output pixels. The pixels of a phase without taps are not seen at all: k is 0 there, and so are their sums.
/// </summary>
internal readonly struct GradientPhases
{
    private readonly PhaseAxis _y, _x;
    private readonly Divisor _across, _groupFilters, _dilationY, _dilationX;
    private readonly int _batch, _height, _width, _outHeight, _outWidth, _filters, _firstFilter, _strideY, _strideX;
    private readonly int _firstWeight, _kernelWidth, _tapWeights, _down, _right;

    private GradientPhases(Conv2dGeometry g, int groupOfGradient, int groupOfWeights)
    {
        var (kernel, _, padding, dilation) = g.Window;
        // A stride beyond the padded image makes one step, of any length.
        (_strideY, _strideX) = (Math.Min(g.Window.Stride.Height, g.Height + 2 * padding.Height), Math.Min(g.Window.Stride.Width, g.Width + 2 * padding.Width));
        _y = new(g.Height, kernel.Height, _strideY, padding.Height, dilation.Height);
        _x = new(g.Width, kernel.Width, _strideX, padding.Width, dilation.Width);
        (_across, _groupFilters) = (new(_strideX), new(g.GroupFilters));
        (_batch, _height, _width, _outHeight, _outWidth, _filters, _firstFilter) = (g.Batch, g.Height, g.Width, g.OutHeight, g.OutWidth, g.Filters, groupOfGradient * g.GroupFilters);
        (_dilationY, _dilationX) = (new(_y.Dilation), new(_x.Dilation));
        (_firstWeight, _kernelWidth, _tapWeights) = (checked((int)(groupOfWeights * g.GroupWeights)), g.KernelWidth, g.GroupChannels * g.GroupFilters);
        (_down, _right) = (_y.TapStep * g.KernelWidth * _tapWeights, _x.TapStep * _tapWeights);
        Count = checked(_strideY * _strideX);
        (MostRows, MostDepth) = (g.Batch * _y.MostPixels * _x.MostPixels, _y.MostTaps * _x.MostTaps * g.GroupFilters);
    }

    /// <summary>How many there are.</summary>
    public int Count { get; }

    /// <summary>Rows of the largest.</summary>
    public int MostRows { get; }

    /// <summary>The k of the longest.</summary>
    public int MostDepth { get; }

    /// <summary>Whether there are phases without taps, which only store.</summary>
    public bool SkipPixels => _y.SkipsPixels || _x.SkipsPixels;

    public static GradientPhases Of(MatrixProduct product) => product is { A: GradientPatchesOperand a, B: ReversedTapsOperand b }
        ? new(a.Geometry, a.Group, b.Group)
        : throw new NotSupportedException($"'{product.Name}': {product.B.GetType().Name} cannot be the right operand of an input gradient.");

    /// <summary>What a phase is along y. Not a structure of both: ILGPU 1.5.3 loses a field where one is taken out of it again, and refuses the kernel.</summary>
    public static AxisPhase Y(GradientPhases all, int index) => PhaseAxis.At(all._y, all._across.Divide(index));

    /// <summary>What a phase is along x.</summary>
    public static AxisPhase X(GradientPhases all, int index) => PhaseAxis.At(all._x, index - all._across.Divide(index) * all._across.Value);

    public static int Rows(GradientPhases all, AxisPhase y, AxisPhase x) => all._batch * y.Pixels * x.Pixels;

    public static int Depth(GradientPhases all, AxisPhase y, AxisPhase x) => y.Taps * x.Taps * all._groupFilters.Value;

    /// <summary>The left operand.</summary>
    public static GpuPatches Patches(GradientPhases all, AxisPhase y, AxisPhase x) => new(
        y.ByPixels, x.ByPixels, all._groupFilters, x.ByTaps, new(all._outHeight, all._outWidth), all._filters, all._firstFilter,
        new(1, 1), new(-y.Offset, -x.Offset), all._dilationY, all._dilationX);

    /// <summary>The right operand.</summary>
    public static GpuTransposed<GpuPhaseTaps> Taps(GradientPhases all, AxisPhase y, AxisPhase x) => new(TapsAsRows(all, y, x));

    /// <summary>The right operand, not transposed.</summary>
    public static GpuPhaseTaps TapsAsRows(GradientPhases all, AxisPhase y, AxisPhase x) => new(
        all._groupFilters, x.ByTaps, all._firstWeight + (y.LastTap * all._kernelWidth + x.LastTap) * all._tapWeights, all._down, all._right);

    /// <summary>Where a phase's rows lie in C.</summary>
    /// <param name="slot">The product among those of all phases.</param>
    public static PhaseRows Target(GradientPhases all, AxisPhase y, AxisPhase x, int slot) => new(
        y.ByPixels, x.ByPixels, y.First * all._width + x.First, all._height * all._width, all._strideY * all._width, all._strideX, slot, all.MostRows);
}

/// <summary>The rows of a phase: the pixels of a lattice.</summary>
internal readonly struct PhaseRows(Divisor height, Divisor width, int first, int image, int down, int right, int slot, int mostRows) : IProductRows<PhaseRows>
{
    private readonly Divisor _height = height, _width = width;
    private readonly int _first = first, _image = image, _down = down, _right = right, _slot = slot, _mostRows = mostRows;

    public static int Of(PhaseRows rows, int row)
    {
        int line = rows._width.Divide(row), x = row - line * rows._width.Value, n = rows._height.Divide(line), y = line - n * rows._height.Value;
        return rows._first + n * rows._image + y * rows._down + x * rows._right;
    }

    public static int PartRow(PhaseRows rows, int product, int parts, int part) => (rows._slot * parts + part) * rows._mostRows;
}
