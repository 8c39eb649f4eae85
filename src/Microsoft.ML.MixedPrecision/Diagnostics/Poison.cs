namespace Microsoft.ML.MixedPrecision;

/// <summary>Fills a tensor that has just died with NaN: whoever reads it after all, or its neighbour's memory too early, shows.</summary>
internal sealed partial class Poison(Tensor tensor) : Kernel
{
    public override string Name => "Poison";
    public override IReadOnlyList<Tensor> Reads => [];
    public override IReadOnlyList<Tensor> Writes { get; } = [tensor];
}
