namespace Microsoft.ML.MixedPrecision;

// Products of one column: right, and slow.

internal abstract partial class DepthwiseConv2d
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => Product.BindGpu<T, TStorage>(gpu);
}
