namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// The features at the last position that has a token: [length, features] to the vector [features]. Behind an <see cref="Lstm"/> that returns the sequence it is the state at the end of each text, of any length. Where no position
    /// has a token it is zero.
    /// </summary>
    /// <param name="mask">The network's tokens.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentNullException"><paramref name="mask"/> is null.</exception>
    /// <exception cref="ArgumentException">The network's output here is not a sequence, or the mask is not of its input or its length.</exception>
    public Network LastToken(TokenInput mask, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(mask);
        return Apply(new LastToken(), name, this, mask.Input);
    }
}

/// <summary>y[n, c] = x[n, last(n), c]; dx[n, l, c] = dy[n, c] at l = last(n), and 0 elsewhere. The second input is the tokens.</summary>
internal sealed class LastToken : Op
{
    public override string Kind => "LastToken";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs)
    {
        ExpectMask(name, inputs[0], inputs[1]);
        return Shape.Vector(inputs[0].Channels);
    }

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        Tensor y = pass.NewOutput(), last = pass.New("Last", ElementType.Int32, pass.Batch);
        pass.Run(new LastTokenForward(pass.Input(0), pass.Input(1), y, last));
        pass.Save(last);
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        if (pass.NeedsInputGradient(0)) pass.Run(new LastTokenBackward(pass.OutputGradient, pass.Saved[0], pass.NewInputGradient(0)));
    }

    /// <summary>Positions count from 1 here, and those without a token are 0: the largest is the last, and none where it is 0.</summary>
    public override string Export(OnnxScope scope)
    {
        var (g, name, length) = (scope.Graph, scope.Name, scope.InputShapes[0].Length);
        string none = g.Integers($"{name}.none", 0), positions = g.Integers($"{name}.positions", [.. Enumerable.Range(1, length).Select(l => (long)l)]);
        string there = g.Node("Where", $"{name}.There", [g.IsNone(scope.Input(1), $"{name}.None"), none, positions]);
        string last = g.Node("ReduceMax", $"{name}.Last", [there], ("axes", new long[] { 1 }), ("keepdims", 1L));
        string isLast = g.Node("And", $"{name}.IsLast", [g.Node("Equal", $"{name}.Equal", [there, last]), g.Node("Greater", $"{name}.Any", [last, none])]);
        string kept = g.Node("Where", $"{name}.Kept", [g.Reshape(isLast, $"{name}.IsLast.column", length, 1), scope.Input(0), g.Scalar($"{name}.zero", 0f)]);
        return scope.Node("ReduceSum", [kept, g.Integers($"{name}.axis", 1)], ("keepdims", 0L)); // of one value and zeros: exact in halves
    }
}

/// <summary>x [n, l, c] to y [n, c], and to last [n], -1 for none.</summary>
internal sealed partial class LastTokenForward(Tensor x, Tensor tokens, Tensor y, Tensor last) : Kernel
{
    public override string Name => "LastToken.Forward";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, tokens];
    public override IReadOnlyList<Tensor> Writes { get; } = [y, last];

    private int Length => tokens.Dimensions[1];
    private int Features => y.Dimensions[1];
}

/// <inheritdoc cref="LastToken"/>
internal sealed partial class LastTokenBackward(Tensor dy, Tensor last, Tensor dx) : Kernel
{
    public override string Name => "LastToken.Backward";
    public override IReadOnlyList<Tensor> Reads { get; } = [dy, last];
    public override IReadOnlyList<Tensor> Writes { get; } = [dx];

    private int Length => dx.Dimensions[1];
    private int Features => dy.Dimensions[1];
}
