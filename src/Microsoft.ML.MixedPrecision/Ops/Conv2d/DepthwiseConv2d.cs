namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// One direction of a convolution with a group for each channel and filter, whose products would have one column each. Weights are
/// [channels, kh, kw, 1, 1].
/// </summary>
internal abstract class DepthwiseConv2d(Conv2dGeometry geometry) : Kernel
{
    /// <summary>2 for each tap of each output element, in all directions.</summary>
    public override long FloatingPointOperations => 2L * geometry.OutPixels * geometry.Channels * geometry.Taps;

    protected Conv2dGeometry Geometry => geometry;
}

/// <summary>y[n, y, x, c] = b[c] + sum over taps of x w[c]: one chain of FMAs from 0, taps in their order, then the bias.</summary>
/// <param name="taps">[kh kw, channels]: the weights for a GPU, whose threads have neighbouring channels.</param>
internal sealed partial class DepthwiseForward(Tensor x, Tensor weight, Tensor? bias, Tensor y, Tensor taps, Conv2dGeometry geometry) : DepthwiseConv2d(geometry)
{
    public override string Name => "Conv2d.Forward";
    public override IReadOnlyList<Tensor> Reads { get; } = bias is null ? [x, weight] : [x, weight, bias];
    public override IReadOnlyList<Tensor> Writes { get; } = [y, taps];
}

/// <summary>dx[n, y, x, c] = sum over the taps that saw the pixel of dy w[c]: one chain of FMAs, taps in reverse order.</summary>
/// <param name="taps">As the forward kernel's, in reverse order.</param>
internal sealed partial class DepthwiseInputGradient(Tensor dy, Tensor weight, Tensor dx, Tensor taps, Conv2dGeometry geometry) : DepthwiseConv2d(geometry)
{
    public override string Name => "Conv2d.InputGradient";
    public override IReadOnlyList<Tensor> Reads { get; } = [dy, weight];
    public override IReadOnlyList<Tensor> Writes { get; } = [dx, taps];
}

/// <summary>dw[c, kh, kw] = sum over output pixels of dy x, in parts of the pixels that the shape decides, joined in their order.</summary>
/// <param name="parts">FP32 [parts, kh kw, channels], for a GPU. The CPU has at most 64 parts, in memory of its own.</param>
internal sealed partial class DepthwiseWeightGradient(Tensor x, Tensor dy, Tensor weightGradient, Tensor parts, Conv2dGeometry geometry) : DepthwiseConv2d(geometry)
{
    public override string Name => "Conv2d.WeightGradient";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, dy];
    public override IReadOnlyList<Tensor> Writes { get; } = [weightGradient, parts];

    /// <summary>The parts of the output pixels that a GPU sums by themselves.</summary>
    public static RowParts Parts(Conv2dGeometry g) => RowParts.Of(g.OutPixels, g.Taps * g.Channels, g.Channels);
}
