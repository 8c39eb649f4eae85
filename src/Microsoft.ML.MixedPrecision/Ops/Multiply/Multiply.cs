namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>The product of two branches of one network, as <see cref="Multiply"/> has it.</summary>
    /// <exception cref="ArgumentException">The shapes do not fit, or the branches do not share an input.</exception>
    public static Network operator *(Network left, Network right) => left.Multiply(right);

    /// <summary>
    /// This branch times another, element by element: a gate. Behind an image or a sequence the other may be a vector of its channels or features, which multiplies them at all pixels or positions, as in
    /// squeeze and excitation (Hu et al., 2018): <c>x.Multiply(x.GlobalAvgPool2d().Linear(8).Relu().Linear(64).Sigmoid())</c>.
    /// </summary>
    /// <param name="other">A branch of the same network with an output of the same shape, or a vector of this one's channels.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, or the branches do not share an input.</exception>
    public Network Multiply(Network other, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Apply(ChannelGate.Fits(Shape, other.Shape) ? new ChannelGate() : new Multiply(), name, this, other);
    }
}

/// <summary>y = a b; da = dy b; db = dy a.</summary>
internal sealed class Multiply : Op
{
    public override string Kind => "Multiply";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0] == inputs[1]
        ? inputs[0]
        : throw Misfit(name, $"two branches of one shape, {inputs[0]}{(inputs[0].IsVector ? "" : $", or a vector of its {inputs[0].Channels} channels")}", $"{inputs[1]}", "bring the second branch to the shape of the first");

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        pass.Run(new ElementProduct("Multiply.Forward", pass.Input(0), pass.Input(1), y));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        for (int i = 0; i < 2; i++)
            if (pass.NeedsInputGradient(i)) pass.Run(new ElementProduct("Multiply.Backward", pass.OutputGradient, pass.Input(1 - i), pass.NewInputGradient(i)));
    }

    public override string Export(OnnxScope scope) => scope.Node("Mul", [scope.Input(0), scope.Input(1)]);
}

/// <summary>y = a b, element by element.</summary>
internal sealed partial class ElementProduct(string name, Tensor a, Tensor b, Tensor y) : Kernel
{
    public override string Name { get; } = name;
    public override IReadOnlyList<Tensor> Reads { get; } = [a, b];
    public override IReadOnlyList<Tensor> Writes { get; } = [y];
}
