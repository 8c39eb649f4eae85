namespace Microsoft.ML.MixedPrecision;

// A launch for each channel: right, and slow where there are many.

internal abstract partial class DepthwiseConv2d
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var actions = Products.Select(product => product.BindGpu<T, TStorage>(gpu)).ToArray();
        return () =>
        {
            foreach (var action in actions) action();
        };
    }
}
