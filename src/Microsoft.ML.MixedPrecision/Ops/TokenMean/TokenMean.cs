namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// y[n, c] = mean of x[n, l, c] over the positions l that have a token, FP32 sums in their order; 0 where none has. dx[n, l, c] = dy[n, c] / their number there, and 0 elsewhere. The second input is the tokens.
/// </summary>
internal sealed class TokenMean : Op
{
    public override string Kind => "GlobalAvgPool1d";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs)
    {
        ExpectMask(name, inputs[0], inputs[1]);
        return Shape.Vector(inputs[0].Channels);
    }

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        Tensor y = pass.NewOutput(), shares = pass.New("Shares", ElementType.Single, pass.Batch);
        pass.Run(new TokenMeanForward(pass.Input(0), pass.Input(1), y, shares));
        pass.Save(shares);
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        if (pass.NeedsInputGradient(0)) pass.Run(new TokenMeanBackward(pass.OutputGradient, pass.Input(1), pass.Saved[0], pass.NewInputGradient(0)));
    }

    public override string Export(OnnxScope scope)
    {
        var (g, name) = (scope.Graph, scope.Name);
        string mask = g.Node("Cast", $"{name}.Mask", [g.Node("Not", $"{name}.Tokens", [g.IsNone(scope.Input(1), $"{name}.None")])], ("to", (long)OnnxProto.TensorProto.Types.DataType.Float));
        string kept = g.Node("Mul", $"{name}.Kept", [g.ToSingle(scope.Input(0), $"{name}.x"), g.Reshape(mask, $"{name}.Mask.column", scope.InputShapes[0].Length, 1)]);
        string axis = g.Integers($"{name}.Axis", 1);
        string sum = g.Node("ReduceSum", $"{name}.Sum", [kept, axis], ("keepdims", 0L)), count = g.Node("ReduceSum", $"{name}.Count", [mask, axis], ("keepdims", 1L));
        return g.ToWorking(scope.Node("Div", [sum, g.Node("Max", $"{name}.AtLeastOne", [count, g.Single($"{name}.One", [1f], 1)])]), $"{name}.y");
    }
}

/// <summary>x [n, l, c] to y [n, c], and to shares [n], 1 / the positions with a token.</summary>
internal sealed partial class TokenMeanForward(Tensor x, Tensor tokens, Tensor y, Tensor shares) : Kernel
{
    public override string Name => "GlobalAvgPool1d.Forward";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, tokens];
    public override IReadOnlyList<Tensor> Writes { get; } = [y, shares];

    private int Length => tokens.Dimensions[1];
    private int Features => y.Dimensions[1];
}

/// <inheritdoc cref="TokenMean"/>
internal sealed partial class TokenMeanBackward(Tensor dy, Tensor tokens, Tensor shares, Tensor dx) : Kernel
{
    public override string Name => "GlobalAvgPool1d.Backward";
    public override IReadOnlyList<Tensor> Reads { get; } = [dy, tokens, shares];
    public override IReadOnlyList<Tensor> Writes { get; } = [dx];

    private int Length => tokens.Dimensions[1];
    private int Features => dy.Dimensions[1];
}
