namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// Everything up to here stays as it is: weights are not trained, batch norms take their running statistics and keep them, and nothing is dropped, as in inference. What lies behind is trained
    /// on it, without gradients, master weights or optimizer state of what lies before. Only <see cref="Augment"/> still moves its images. A layer that is read by a branch beside this one, too, is frozen for both.
    /// For layers that learned already, in another training or from <see cref="ImportOnnx"/>; PyTorch's requires_grad_(False) and eval().
    /// </summary>
    /// <param name="name">The layer's name in messages; by default its kind and number.</param>
    public Network Freeze(string? name = null) => Apply(new Freeze(), name);

    /// <summary>The same network without what froze it, from the same values: to train all of it on, after the head has learned, at a lower rate.</summary>
    public Network Unfreeze() => Rebuilt((node, inputs) => node.Op is Freeze ? inputs[0] : new Node(node.Op, inputs, node.Shape, node.Name, node.Start));
}

/// <summary>The input itself, without a kernel: it says to the plan that nothing before it is trained.</summary>
internal sealed class Freeze : Op
{
    public override string Kind => "Freeze";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0];
    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];
    public override Tensor Forward(ForwardPass pass) => pass.Input(0);
    public override void Backward(BackwardPass pass) => throw new InvalidOperationException("Nothing before a Freeze is trained: it has no gradient.");
    public override string Export(OnnxScope scope) => scope.Input(0);

    /// <summary>The nodes of a network that are not trained.</summary>
    public static IReadOnlySet<Node> Before(Node end) => end.Sorted().Where(node => node.Op is Freeze).SelectMany(node => node.Sorted()).ToHashSet();
}
