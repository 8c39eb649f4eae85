namespace Microsoft.ML.MixedPrecision;

/// <summary>The scores of keys without a token become the least half, in place: behind the softmax they are 0, and so are their gradients. Where no key has a token all stay alike, and nothing is NaN.</summary>
/// <param name="tokens">[examples, length].</param>
/// <param name="scores">[examples x heads, length of queries, length of keys].</param>
internal sealed partial class ScoreMask(Tensor tokens, Tensor scores, int heads) : Kernel
{
    public const float Least = -65504f;

    public override string Name => "SelfAttention.Mask";
    public override IReadOnlyList<Tensor> Reads { get; } = [tokens, scores];
    public override IReadOnlyList<Tensor> Writes { get; } = [scores];

    private int Length => scores.Dimensions[1];
}
