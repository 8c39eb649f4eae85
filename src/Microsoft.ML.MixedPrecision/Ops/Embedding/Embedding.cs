namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// y[n, l] = W[token[n, l]]; dW[v] = the sum of dy[n, l] where token[n, l] is v, but 0 for token 0. The sum is in FP32 and in the order of the positions, on every device: the positions are put into
/// the order of their tokens first, and no gradient is added by an atomic, whose order nobody knows.
/// </summary>
internal sealed class Embedding(int vocabulary, int features) : Op
{
    public override string Kind => "Embedding";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => Shape.Sequence(inputs[0].Size, features);

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [new("Weight", new Initializer.Normal(1f, Zeros: features), vocabulary, features)];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        pass.Run(new EmbeddingForward(pass.Input(0), pass.Weight(0), y));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        var tokens = pass.Input(0);
        Tensor order = pass.New("Order", ElementType.Int32, (int)tokens.Length), starts = pass.New("Starts", ElementType.Int32, vocabulary + 1);
        pass.Run(new TokenOrder(tokens, order, starts));
        pass.Run(new EmbeddingGradient(order, starts, pass.OutputGradient, pass.WeightGradient(0)));
    }

    public override string Export(OnnxScope scope) => scope.Node("Gather", [scope.Weight(0), scope.Input(0)]);
}

/// <summary>y[i] = W[tokens[i]].</summary>
internal sealed partial class EmbeddingForward(Tensor tokens, Tensor table, Tensor y) : Kernel
{
    public override string Name => "Embedding.Forward";
    public override IReadOnlyList<Tensor> Reads { get; } = [tokens, table];
    public override IReadOnlyList<Tensor> Writes { get; } = [y];

    private int Features => table.Dimensions[1];
}

/// <summary>The positions in the order of their tokens, equal ones in their own, and where in it each token of the vocabulary begins; the last start is the end.</summary>
internal sealed partial class TokenOrder(Tensor tokens, Tensor order, Tensor starts) : Kernel
{
    public override string Name => "Embedding.Order";
    public override IReadOnlyList<Tensor> Reads { get; } = [tokens];
    public override IReadOnlyList<Tensor> Writes { get; } = [order, starts];
}

/// <summary>dW[v] = the sum of dy over order[starts[v]] to order[starts[v + 1] - 1]; 0 for v = 0.</summary>
internal sealed partial class EmbeddingGradient(Tensor order, Tensor starts, Tensor dy, Tensor dTable) : Kernel
{
    public override string Name => "Embedding.Backward";
    public override IReadOnlyList<Tensor> Reads { get; } = [order, starts, dy];
    public override IReadOnlyList<Tensor> Writes { get; } = [dTable];

    private int Vocabulary => dTable.Dimensions[0];
    private int Features => dTable.Dimensions[1];
}
