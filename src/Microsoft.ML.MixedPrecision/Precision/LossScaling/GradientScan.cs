namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// One pass over the flat gradients: for each part of <see cref="PartLength"/> elements the FP32 sum of squares and the index
/// of the first element that is not finite. The parts depend on the number of parameters alone, so the order is fixed.
/// </summary>
internal sealed partial class GradientScan(Tensor gradients) : Kernel
{
    public const int PartLength = 16384;

    /// <summary>What stands for "all finite" in <see cref="FirstBad"/>.</summary>
    public const int AllFinite = int.MaxValue;

    public int Parts { get; } = (int)((gradients.Length + PartLength - 1) / PartLength);

    /// <summary>FP32, one for each part. Meaningless where an element is not finite.</summary>
    public Tensor SquareSums { get; } = new("GradientSquareSums", ElementType.Single, Region.Activations, (int)((gradients.Length + PartLength - 1) / PartLength));

    /// <summary>For each part the index into the flat gradients, or <see cref="AllFinite"/>.</summary>
    public Tensor FirstBad { get; } = new("GradientFirstBad", ElementType.Int32, Region.Activations, (int)((gradients.Length + PartLength - 1) / PartLength));

    public override string Name => "GradientScan";
    public override IReadOnlyList<Tensor> Reads { get; } = [gradients];
    public override IReadOnlyList<Tensor> Writes => [SquareSums, FirstBad];
}
