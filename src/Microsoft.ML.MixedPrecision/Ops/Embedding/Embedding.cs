namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// y[n, l] = W[token[n, l]]; dW[v] = the sum of dy[n, l] where token[n, l] is v, but 0 for token 0. The sum is in FP32 and in one order on every device (<see cref="EmbeddingGradient"/>): the positions
/// are put into the order of their tokens first, and no gradient is added by an atomic, whose order nobody knows.
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
        int count = (int)tokens.Length, runs = count / EmbeddingGradient.Run;
        Tensor order = pass.New("Order", ElementType.Int32, count), chunks = pass.New("Chunks", ElementType.Int32, count), starts = pass.New("Starts", ElementType.Int32, vocabulary + 1);
        pass.Run(new TokenOrder(tokens, chunks, order, starts));
        pass.Run(new EmbeddingGradient(tokens, order, starts, pass.OutputGradient, pass.New("RunSums", ElementType.Single, Math.Max(1, runs), features), pass.WeightGradient(0)));
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
/// <param name="chunks">For a GPU: <see cref="Chunk"/> positions after the other in the order of their tokens, and not yet merged.</param>
internal sealed partial class TokenOrder(Tensor tokens, Tensor chunks, Tensor order, Tensor starts) : Kernel
{
    /// <summary>Within it a GPU compares all positions with all.</summary>
    public const int Chunk = 2048;

    public override string Name => "Embedding.Order";
    public override IReadOnlyList<Tensor> Reads { get; } = [tokens];
    public override IReadOnlyList<Tensor> Writes { get; } = [chunks, order, starts];
}

/// <summary>
/// dW[v] = the sum of dy over order[starts[v]] to order[starts[v + 1] - 1]; 0 for v = 0. Each <see cref="Run"/> positions of a token are summed by themselves, then their sums, one after the other, and
/// then what is left: a word that comes 10,000 times is the work of 156 threads, not of one.
/// </summary>
/// <param name="runSums">For a GPU: the sum of the run that begins within positions 64 i to 64 i + 63 of the order, if one does. There is at most one, as its last position lies behind them.</param>
internal sealed partial class EmbeddingGradient(Tensor tokens, Tensor order, Tensor starts, Tensor dy, Tensor runSums, Tensor dTable) : Kernel
{
    public const int Run = 1 << RunShift;
    private const int RunShift = 6;

    public override string Name => "Embedding.Backward";
    public override IReadOnlyList<Tensor> Reads { get; } = [tokens, order, starts, dy];
    public override IReadOnlyList<Tensor> Writes { get; } = [runSums, dTable];

    private int Vocabulary => dTable.Dimensions[0];
    private int Features => dTable.Dimensions[1];
}
