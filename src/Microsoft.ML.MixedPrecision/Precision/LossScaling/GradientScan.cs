namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// One pass over the flat gradients: for each part of <see cref="PartLength"/> elements the FP32 sum of squares and the index
/// of the first element that is not finite. The parts depend on the number of parameters alone, so the order is fixed.
/// A part has 2,048 elements, or 4,096 to 16,384 where there would be more than 2,048 parts: as many as a GPU can work on at once, and few enough to be added by one group.
/// </summary>
internal sealed partial class GradientScan(Tensor gradients) : Kernel
{
    private const int ShortestPart = 2048, LongestPart = 16384, EnoughParts = 2048;

    /// <summary>What stands for "all finite" in <see cref="FirstBad"/>.</summary>
    public const int AllFinite = int.MaxValue;

    public int PartLength { get; } = LengthOf(gradients);

    public int Parts { get; } = CountOf(gradients);

    /// <summary>FP32, one for each part. Meaningless where an element is not finite.</summary>
    public Tensor SquareSums { get; } = new("GradientSquareSums", ElementType.Single, Region.Activations, CountOf(gradients));

    /// <summary>For each part the index into the flat gradients, or <see cref="AllFinite"/>.</summary>
    public Tensor FirstBad { get; } = new("GradientFirstBad", ElementType.Int32, Region.Activations, CountOf(gradients));

    public override string Name => "GradientScan";
    public override IReadOnlyList<Tensor> Reads { get; } = [gradients];
    public override IReadOnlyList<Tensor> Writes => [SquareSums, FirstBad];

    private static int LengthOf(Tensor gradients)
    {
        int length = ShortestPart;
        while (length < LongestPart && gradients.Length > (long)length * EnoughParts) length *= 2;
        return length;
    }

    private static int CountOf(Tensor gradients) => (int)((gradients.Length + LengthOf(gradients) - 1) / LengthOf(gradients));
}
