namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// y = x + p with a trained p of x's shape, the same for every example: tells <see cref="SelfAttention"/>, which sees a set, where each position is (Gehring et al., 2017). p starts
    /// normal with a deviation of 0.02, as BERT and the Vision Transformer have it: features should be of the size of 1 there, for instance behind a <see cref="LayerNorm"/>, or they drown it.
    /// </summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentException">The network's output here is not a sequence.</exception>
    public Network PositionalEmbedding(string? name = null) => Apply(new PositionalEmbedding(), name);
}

/// <summary>y[n, l, c] = x[n, l, c] + p[l, c]; dx = dy; dp = sum over n of dy.</summary>
internal sealed class PositionalEmbedding : Op
{
    public override string Kind => "PositionalEmbedding";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0].IsSequence
        ? inputs[0]
        : throw Misfit(name, "a sequence [length, features]", inputs[0].Described, "start from Network.Sequence(...), or put Reshape(length, features) before it");

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [new("Weight", new Initializer.Normal(0.02f), [.. inputs[0].Dimensions])];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        pass.Run(new PositionalEmbeddingForward(pass.Input(0), pass.Weight(0), y));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        pass.Run(ColumnSum.Of(pass, pass.OutputGradient.Reshape(pass.Batch, pass.OutputShape.Size), pass.WeightGradient(0)));
        if (pass.NeedsInputGradient(0)) pass.PassInputGradient(0, pass.OutputGradient);
    }

    public override string Export(OnnxScope scope) => scope.Node("Add", [scope.Input(0), scope.Weight(0)]);
}

/// <summary>y[n, i] = x[n, i] + p[i], summed in FP32.</summary>
internal sealed partial class PositionalEmbeddingForward(Tensor x, Tensor p, Tensor y) : Kernel
{
    public override string Name => "PositionalEmbedding.Forward";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, p];
    public override IReadOnlyList<Tensor> Writes { get; } = [y];
}
