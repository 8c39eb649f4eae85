namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>The sum of two branches of one network, element by element.</summary>
    /// <exception cref="ArgumentException">The shapes differ, or the branches do not share an input.</exception>
    public static Network operator +(Network left, Network right) => left.Add(right);

    /// <summary>This branch plus another, element by element.</summary>
    /// <param name="other">A branch of the same network with an output of the same shape.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentException">The shapes differ, or the branches do not share an input.</exception>
    public Network Add(Network other, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Apply(new Add(), name, this, other);
    }
}

/// <summary>y = a + b; both gradients are dy itself.</summary>
internal sealed class Add : Op
{
    public override string Kind => "Add";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0] == inputs[1]
        ? inputs[0]
        : throw Misfit(name, $"two branches of one shape, {inputs[0]}", $"{inputs[1]}", "bring the second branch to the shape of the first, for instance with a 1x1 Conv2d of the same stride");

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        pass.Run(new AddForward(pass.Input(0), pass.Input(1), y));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        for (int i = 0; i < 2; i++)
            if (pass.NeedsInputGradient(i)) pass.PassInputGradient(i, pass.OutputGradient);
    }

    public override string Export(OnnxScope scope) => scope.Node("Add", [scope.Input(0), scope.Input(1)]);
}

/// <summary>y = a + b, element by element, summed in FP32. Also adds up the gradients of an output with several consumers.</summary>
internal sealed partial class AddForward(Tensor a, Tensor b, Tensor y, ElementKernel? next = null) : Kernel
{
    public override string Name { get; } = next is null ? "Add.Forward" : $"Add.Forward + {next.Name}";
    public override IReadOnlyList<Tensor> Reads { get; } = [a, b, .. next?.OthersRead ?? []];
    public override IReadOnlyList<Tensor> Writes { get; } = [y];
    public override Kernel? Then(ElementKernel following) => next is null && following.From == y ? new AddForward(a, b, following.To, following) : null;
}
