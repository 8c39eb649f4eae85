namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// One direction of a convolution with a group for each channel and filter: on the CPU a kernel of its own, on a GPU products. Weights are [channels, kh, kw, 1, 1].
/// </summary>
internal abstract partial class DepthwiseConv2d(Conv2dGeometry geometry, MatrixProduct product) : Kernel
{
    public override string Name => Product.Name;

    /// <summary>The same work as products, one for each channel.</summary>
    public MatrixProduct Product => product;

    /// <summary>2 for each tap of each output element, in all directions.</summary>
    public override long FloatingPointOperations => 2L * geometry.OutPixels * geometry.Channels * geometry.KernelHeight * geometry.KernelWidth;
}

/// <summary>y[n, y, x, c] = b[c] + sum over taps of x w[c]: one chain of FMAs from 0, taps in their order, then the bias.</summary>
internal sealed partial class DepthwiseForward(Tensor x, Tensor weight, Tensor? bias, Tensor y, Conv2dGeometry geometry, MatrixProduct product)
    : DepthwiseConv2d(geometry, product)
{
    public override IReadOnlyList<Tensor> Reads { get; } = bias is null ? [x, weight] : [x, weight, bias];
    public override IReadOnlyList<Tensor> Writes { get; } = [y];

    private Conv2dGeometry Geometry { get; } = geometry;
}

/// <summary>dx[n, y, x, c] = sum over the taps that saw the pixel of dy w[c]: one chain of FMAs, taps in reverse order.</summary>
internal sealed partial class DepthwiseInputGradient(Tensor dy, Tensor weight, Tensor dx, Conv2dGeometry geometry, MatrixProduct product)
    : DepthwiseConv2d(geometry, product)
{
    public override IReadOnlyList<Tensor> Reads { get; } = [dy, weight];
    public override IReadOnlyList<Tensor> Writes { get; } = [dx];

    private Conv2dGeometry Geometry { get; } = geometry;
}

/// <summary>dw[c, kh, kw] = sum over output pixels of dy x: a chain of FMAs for each part of the rows, at most 64 parts by shape, joined in their order.</summary>
internal sealed partial class DepthwiseWeightGradient(Tensor x, Tensor dy, Tensor weightGradient, Conv2dGeometry geometry, MatrixProduct product)
    : DepthwiseConv2d(geometry, product)
{
    public override IReadOnlyList<Tensor> Reads { get; } = [x, dy];
    public override IReadOnlyList<Tensor> Writes { get; } = [weightGradient];

    private Conv2dGeometry Geometry { get; } = geometry;
}
