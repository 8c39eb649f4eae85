namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A number for each channel of an example times that channel at all of its pixels or positions: y[n, p, c] = x[n, p, c] g[n, c]; dx[n, p, c] = dy[n, p, c] g[n, c];
/// dg[n, c] = sum over p of dy x, in FP32. What <see cref="Network.Multiply"/> is where its second branch is a vector.
/// </summary>
internal sealed class ChannelGate : Op
{
    public override string Kind => "ChannelGate";

    /// <summary>Whether a branch gates another's channels.</summary>
    public static bool Fits(Shape x, Shape gate) => !x.IsVector && gate.IsVector && gate.Size == x.Channels;

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => Fits(inputs[0], inputs[1])
        ? inputs[0]
        : throw Misfit(name, $"a vector of the {inputs[0].Channels} channels of {inputs[0].Described}", inputs[1].Described, "bring the second branch to it by a Linear");

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        pass.Run(new ChannelProduct("ChannelGate.Forward", pass.Input(0), pass.Input(1), y));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        if (pass.NeedsInputGradient(0)) pass.Run(new ChannelProduct("ChannelGate.Backward", pass.OutputGradient, pass.Input(1), pass.NewInputGradient(0)));
        if (pass.NeedsInputGradient(1)) pass.Run(new ChannelProductSum(pass.OutputGradient, pass.Input(0), pass.NewInputGradient(1)));
    }

    public override string Export(OnnxScope scope)
    {
        var (g, channels) = (scope.Graph, scope.OutputShape.Channels);
        string gate = scope.OutputShape.IsImage ? g.Reshape(scope.Input(1), $"{scope.Name}.Gate", channels, 1, 1) : g.Reshape(scope.Input(1), $"{scope.Name}.Gate", 1, channels);
        return scope.Node("Mul", [scope.Input(0), gate]);
    }
}

/// <summary>y [n, ..., c] = x [n, ..., c] g [n, c].</summary>
internal sealed partial class ChannelProduct(string name, Tensor x, Tensor gate, Tensor y) : Kernel
{
    public override string Name { get; } = name;
    public override IReadOnlyList<Tensor> Reads { get; } = [x, gate];
    public override IReadOnlyList<Tensor> Writes { get; } = [y];

    private int Channels => gate.Dimensions[1];
    private int Pixels => (int)(x.Length / gate.Length);
}

/// <summary>sums [n, c] = over the pixels, in their order, of dy [n, ..., c] x [n, ..., c].</summary>
internal sealed partial class ChannelProductSum(Tensor dy, Tensor x, Tensor sums) : Kernel
{
    public override string Name => "ChannelGate.Sum";
    public override IReadOnlyList<Tensor> Reads { get; } = [dy, x];
    public override IReadOnlyList<Tensor> Writes { get; } = [sums];

    private int Channels => sums.Dimensions[1];
    private int Pixels => (int)(x.Length / sums.Length);
}
