namespace Microsoft.ML.MixedPrecision;

/// <summary>The order of an image's values in the feature column.</summary>
public enum PixelOrder
{
    /// <summary>All of one channel, row by row, then the next channel: [c, h, w]. ML.NET's <c>ExtractPixels</c> and PyTorch.</summary>
    Planar,

    /// <summary>All channels of one pixel, then the next pixel: [h, w, c].</summary>
    Interleaved,
}

/// <summary>
/// An immutable description of a network: the function from the input to this point. Every method returns a new one, so a
/// branch needs no name: <c>(x.Conv2d(64, 3, padding: 1).BatchNorm() + x).Relu()</c>. Shapes are inferred as it is written,
/// and a mistake is reported at that line. A description holds no weights and knows no device.
/// </summary>
public sealed partial class Network
{
    private Network(Node node, Node input, InputFormat format) => (Node, InputNode, InputFormat) = (node, input, format);

    internal Node Node { get; }
    internal Node InputNode { get; }
    internal InputFormat InputFormat { get; }

    /// <summary>The shape of one example at this point.</summary>
    public Shape Shape => Node.Shape;

    /// <summary>The shape of one example of the input.</summary>
    public Shape InputShape => InputNode.Shape;

    /// <summary>Number of trainable values.</summary>
    public long ParameterCount => Node.Sorted().Sum(n => n.Op?.Parameters(n.InputShapes).Sum(p => (long)p.Length) ?? 0);

    /// <summary>A network that takes a vector.</summary>
    /// <param name="size">Its elements, at least 1.</param>
    public static Network Vector(int size) => Input(Shape.Vector(size), new(PixelOrder.Interleaved));

    /// <summary>A network that takes an image.</summary>
    /// <param name="height">Rows, at least 1.</param>
    /// <param name="width">Columns, at least 1.</param>
    /// <param name="channels">Values of each pixel, at least 1.</param>
    /// <param name="pixelOrder">The order of the values in the feature column, which has height x width x channels of them.</param>
    public static Network Image(int height, int width, int channels, PixelOrder pixelOrder = PixelOrder.Planar)
    {
        if (!Enum.IsDefined(pixelOrder)) throw new ArgumentOutOfRangeException(nameof(pixelOrder), pixelOrder, "Expected Planar or Interleaved.");
        return Input(Shape.Image(height, width, channels), new(pixelOrder));
    }

    /// <summary>A network that takes a sequence: a time series, words as vectors, the patches of an image.</summary>
    /// <param name="length">Positions, at least 1.</param>
    /// <param name="features">Values at each position, at least 1. The feature column has length x features of them, position after position.</param>
    public static Network Sequence(int length, int features) => Input(Shape.Sequence(length, features), new(PixelOrder.Interleaved));

    private static Network Input(Shape shape, InputFormat format)
    {
        var node = new Node(null, [], shape, "Input");
        return new Network(node, node, format);
    }

    /// <summary>This network followed by one more op.</summary>
    internal Network Apply(Op op, string? name = null) => Apply(op, name, this);

    /// <summary>One op over the outputs of several networks that share an input.</summary>
    internal static Network Apply(Op op, string? name, params ReadOnlySpan<Network> inputs)
    {
        var first = inputs[0];
        var nodes = new List<Node>(inputs.Length);
        foreach (var input in inputs)
        {
            if (input.InputNode != first.InputNode)
                throw new ArgumentException($"{op.Kind}: expected branches of one network, got networks with inputs of their own; start every branch from the same Network.Image(...), Network.Sequence(...), Network.Tokens(...), Network.Table(...) or Network.Vector(...) value.");
            nodes.Add(input.Node);
        }
        name ??= NextName(op.Kind, nodes);
        var shape = op.Infer(name, [.. nodes.Select(n => n.Shape)]);
        return new Network(new Node(op, nodes, shape, name), first.InputNode, first.InputFormat);
    }

    /// <summary>A layer's kind and number.</summary>
    private static string NextName(string kind, IEnumerable<Node> inputs) => kind + (1 + inputs.SelectMany(n => n.Sorted()).Distinct().Count(n => n.Op?.Kind == kind));
}
