namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>A product that a test binds on a GPU in its own way, where a plan would choose another.</summary>
internal abstract class BoundProduct(MatrixProduct product) : Kernel
{
    protected MatrixProduct Product { get; } = product;

    /// <summary>How many parts of a depth k makes.</summary>
    protected int Parts(int partDepth) => (Product.K + partDepth - 1) / partDepth;

    public override string Name => Product.Name;
    public override IReadOnlyList<Tensor> Reads => Product.Reads;
    public override IReadOnlyList<Tensor> Writes => Product.Writes;
    public override Action BindCpu<T, TStorage>(CpuBackend cpu) => Product.BindCpu<T, TStorage>(cpu);
}
