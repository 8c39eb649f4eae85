namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// exp(x) / sum exp(x) over the last dimension: the elements of a vector, the features of each position of a sequence, the channels of each pixel of an image. In FP32, the
    /// maximum subtracted first. Not before a loss that contains it: a classifier ends in the scores before the softmax.
    /// </summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    public Network Softmax(string? name = null) => Apply(new Softmax(), name);
}

/// <summary>y[c] = exp(x[c] - max) / sum over c' of exp(x[c'] - max); dx[c] = y[c] (dy[c] - sum over c' of dy[c'] y[c']).</summary>
internal sealed class Softmax : Op
{
    public override string Kind => "Softmax";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0];
    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        pass.Run(new SoftmaxForward(pass.Input(0), y));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        if (pass.NeedsInputGradient(0)) pass.Run(new SoftmaxBackward(pass.Output, pass.OutputGradient, pass.NewInputGradient(0)));
    }

    public override string Export(OnnxScope scope)
    {
        // FP32, as here: converters that leave it in half lose the small ones.
        var g = scope.Graph;
        return g.ToWorking(scope.Node("Softmax", [g.ToSingle(scope.Input(0), $"{scope.Name}.x")], ("axis", OnnxGraph.ChannelAxis(scope.OutputShape))), $"{scope.Name}.y");
    }
}

/// <summary>[..., c], each row by itself; sums FP32, in the order of c.</summary>
internal sealed partial class SoftmaxForward(Tensor x, Tensor y) : Kernel
{
    public override string Name => "Softmax.Forward";
    public override IReadOnlyList<Tensor> Reads { get; } = [x];
    public override IReadOnlyList<Tensor> Writes { get; } = [y];
}

/// <inheritdoc cref="SoftmaxForward"/>
internal sealed partial class SoftmaxBackward(Tensor y, Tensor dy, Tensor dx) : Kernel
{
    public override string Name => "Softmax.Backward";
    public override IReadOnlyList<Tensor> Reads { get; } = [y, dy];
    public override IReadOnlyList<Tensor> Writes { get; } = [dx];
}
