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
/// and a mistake is reported at that line. A description knows no device, and has weights only where an <see cref="ImportOnnx"/> or an
/// earlier training gave it some to start from.
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

    /// <summary>Number of trainable values; those that are frozen are none.</summary>
    public long ParameterCount
    {
        get
        {
            var frozen = Microsoft.ML.MixedPrecision.Freeze.Before(Node);
            return Node.Sorted().Where(n => n.Op is not null && !frozen.Contains(n)).Sum(n => n.Op!.Parameters(n.InputShapes).Sum(p => (long)p.Length));
        }
    }

    /// <summary>The names of the layers, each after those that it reads; the first is "Input".</summary>
    public IReadOnlyList<string> LayerNames
    {
        get
        {
            var nodes = Node.Sorted();
            var names = Node.UniqueNames(nodes);
            return [.. nodes.Select(node => names[node])];
        }
    }

    /// <summary>The network up to one of its layers, that one included, with the values that it starts from: all but the head of a network that was trained, to build another on.</summary>
    /// <param name="layer">One of <see cref="LayerNames"/>.</param>
    /// <exception cref="ArgumentException">There is no such layer.</exception>
    public Network UpTo(string layer) => UpTo(Layer(nameof(UpTo), layer));

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

    internal Network UpTo(Node node) => new(node, InputNode, InputFormat);

    private Node Layer(string method, string layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        foreach (var (node, name) in Node.UniqueNames(Node.Sorted()))
            if (name == layer) return node;
        throw new ArgumentException($"{method}: expected the name of a layer, one of {string.Join(", ", LayerNames)}; got {layer}.", nameof(layer));
    }

    /// <summary>This network followed by one more op.</summary>
    internal Network Apply(Op op, string? name = null) => Apply(op, name, this);

    /// <summary>The same network, whose last layer starts from these values.</summary>
    internal Network StartingFrom(StartValues start) => new(new Node(Node.Op, Node.Inputs, Node.Shape, Node.Name, Fitting(Node, start)), InputNode, InputFormat);

    /// <summary>The same network, all of whose layers start from what these values are for each.</summary>
    internal Network StartingFrom(Func<Node, StartValues?> values) => Rebuilt((node, inputs) =>
        new Node(node.Op, inputs, node.Shape, node.Name, values(node) is { } start ? Fitting(node, start) : null));

    /// <summary>A network like this one, of other layers behind the same input.</summary>
    /// <param name="rebuild">Given a layer of this one, and what its inputs have become.</param>
    private Network Rebuilt(Func<Node, IReadOnlyList<Node>, Node> rebuild)
    {
        var rebuilt = new Dictionary<Node, Node>();
        foreach (var node in Node.Sorted()) rebuilt.Add(node, node.Op is null ? node : rebuild(node, [.. node.Inputs.Select(input => rebuilt[input])]));
        return new Network(rebuilt[Node], InputNode, InputFormat);
    }

    /// <returns>The values; null for a layer that has none.</returns>
    /// <exception cref="ArgumentException">They are not as many as the layer has.</exception>
    private static StartValues? Fitting(Node node, StartValues start)
    {
        int[] expected = [.. node.Op!.Parameters(node.InputShapes).Select(p => p.Length), .. node.Op.Buffers(node.InputShapes).Select(b => b.Length)];
        int[] got = [.. start.Parameters.Select(p => p.Length), .. start.Buffers.Select(b => b.Length)];
        if (!expected.SequenceEqual(got)) throw new ArgumentException($"{node.Op.Kind} '{node.Name}': expected values of {string.Join(", ", expected)} elements, got {string.Join(", ", got)}.", nameof(start));
        return expected.Length > 0 ? start : null;
    }

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
