namespace Microsoft.ML.MixedPrecision;

/// <summary>The staged FP32 features as the network's input: rounded to working storage, and planar pixels made NHWC.</summary>
internal sealed partial class Ingest(Tensor features, Tensor input, Shape shape, PixelOrder order) : Kernel
{
    public override string Name => "Ingest";
    public override IReadOnlyList<Tensor> Reads { get; } = [features];
    public override IReadOnlyList<Tensor> Writes { get; } = [input];

    /// <summary>True where the values only change storage, not place.</summary>
    private bool InOrder => !shape.IsImage || shape.Channels == 1 || order == PixelOrder.Interleaved;
}
