namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// Everything up to here stays as it is: weights are not trained, batch norms take their running statistics and keep them, and nothing is dropped, as in inference. What lies behind is trained
    /// on it, without gradients, master weights or optimizer state of what lies before. Where nothing reads the input beside it and no image is moved before it, that is computed once for all epochs, as far as its values fit in memory (1 GiB). Only <see cref="Augment"/> still moves its images. A layer that is read by a branch beside this one, too, is frozen for both.
    /// For layers that learned already, in another training or from <see cref="ImportOnnx"/>; PyTorch's requires_grad_(False) and eval().
    /// </summary>
    /// <param name="name">The layer's name in messages; by default its kind and number.</param>
    public Network Freeze(string? name = null) => Apply(new Freeze(), name);

    /// <summary>The same network, frozen up to one of its layers, that one included; what lies behind it is trained on from the values that it has. Up to "Input" nothing is frozen.</summary>
    /// <param name="layer">One of <see cref="LayerNames"/>.</param>
    /// <exception cref="ArgumentException">There is no such layer.</exception>
    public Network FreezeUpTo(string layer)
    {
        var last = Layer(nameof(FreezeUpTo), layer);
        return Rebuilt((node, inputs) =>
        {
            var copy = new Node(node.Op, inputs, node.Shape, node.Name, node.Start);
            return node == last ? new Node(new Freeze(), [copy], node.Shape, NextName("Freeze", [copy])) : copy;
        });
    }

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

    /// <summary>
    /// The last frozen point through which all that a network does with its input goes, if what is before it gives the same values for a row each time: they need be computed once only. Null where there is none,
    /// where images are moved before it, or where it has values that are still to be drawn.
    /// </summary>
    public static Node? Cut(Node end)
    {
        var cut = end.Sorted().LastOrDefault(node => node.Op is Freeze);
        if (cut is null || Reaches(end, cut)) return null;
        var before = cut.Sorted();
        bool drawn = before.Any(node => node.Start is null && node.Op is { } op && op.Parameters(node.InputShapes).Count + op.Buffers(node.InputShapes).Count > 0);
        return drawn || before.Any(node => node.Op is Augment) || before.All(node => node.Start is null) ? null : cut;
    }

    /// <summary>Whether a node depends on the input but through another.</summary>
    private static bool Reaches(Node node, Node without)
    {
        var seen = new HashSet<Node> { without };
        var stack = new Stack<Node>([node]);
        while (stack.TryPop(out var next))
        {
            if (!seen.Add(next)) continue;
            if (next.Op is null) return true;
            foreach (var input in next.Inputs) stack.Push(input);
        }
        return false;
    }

    /// <summary>The nodes of a network that are not trained.</summary>
    public static IReadOnlySet<Node> Before(Node end) => end.Sorted().Where(node => node.Op is Freeze).SelectMany(node => node.Sorted()).ToHashSet();
}
