namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A softmax over the keys that a query sees. The others' weights are 0, and so are the gradients of their scores: backward is that of <see cref="SoftmaxBackward"/>. A query that sees no key has no
/// weights but zeros, as in PyTorch's scaled_dot_product_attention.
/// </summary>
/// <param name="tokens">[examples, length]: keys of token 0 are not seen. Null where all are.</param>
/// <param name="scores">[examples x heads, length of queries, length of keys]; afterwards anything.</param>
/// <param name="weights">Of the same shape.</param>
/// <param name="causal">Whether keys behind their query are not seen.</param>
internal sealed partial class MaskedSoftmax(Tensor? tokens, Tensor scores, Tensor weights, int heads, bool causal) : Kernel
{
    public override string Name => "SelfAttention.MaskedSoftmax";
    public override IReadOnlyList<Tensor> Reads { get; } = tokens is null ? [scores] : [tokens, scores];
    public override IReadOnlyList<Tensor> Writes { get; } = [scores, weights];

    private int Length => scores.Dimensions[1];
}
