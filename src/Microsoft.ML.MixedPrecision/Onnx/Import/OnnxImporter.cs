using Google.Protobuf;
using Microsoft.ML.MixedPrecision.OnnxProto;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Reads an ONNX graph into a network, node by node, up to a value. What a node becomes is one of the <see cref="ImportRules"/>. Only nodes that the value
/// depends on are looked at, so that a head that nobody asks for may be anything.
/// </summary>
internal sealed class OnnxImporter
{
    private readonly string _file;
    private readonly GraphProto _graph;
    private readonly IReadOnlyList<NodeProto> _nodes;
    private readonly Dictionary<string, NodeProto> _makers = new(StringComparer.Ordinal); // of values
    private readonly Dictionary<string, ImportedValue> _values = new(StringComparer.Ordinal);
    private readonly Dictionary<string, OnnxConstant> _constants = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long[]> _shapes = new(StringComparer.Ordinal);
    private ILookup<string, NodeProto> _readers = Array.Empty<NodeProto>().ToLookup(_ => ""); // of values, among the nodes that are needed

    private OnnxImporter(string file, ModelProto model)
    {
        (_file, _graph) = (file, model.Graph);
        Opset = model.OpsetImport.Where(set => set.Domain is "" or "ai.onnx").Select(set => set.Version).DefaultIfEmpty(1).Max();
        foreach (var tensor in _graph.Initializer) _constants[tensor.Name] = new(tensor);
        foreach (var node in _graph.Node.Where(n => n.OpType == "Constant"))
            if (node.Attribute.FirstOrDefault(a => a.Name == "value") is { T: { } tensor }) _constants[node.Output[0]] = new(tensor);
        _nodes = GeluPattern.Join(_graph.Node, value => Constant(value) is { Length: 1 } constant ? constant.Singles()[0] : null);
        foreach (var node in _nodes)
            foreach (string value in node.Output) _makers[value] = node;
    }

    /// <summary>The version of the operators.</summary>
    public long Opset { get; }

    /// <inheritdoc cref="Network.ImportOnnx"/>
    public static Network Append(Network network, string path, string? output)
    {
        string file = Path.GetFileName(path);
        ModelProto model;
        try
        {
            using var stream = File.OpenRead(path);
            model = ModelProto.Parser.ParseFrom(stream);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw NoModel(file, e);
        }
        if (model.Graph is null || model.Graph.Output.Count == 0) throw NoModel(file, null);
        return new OnnxImporter(file, model).Read(network, output);
    }

    private Network Read(Network network, string? output)
    {
        string end = output is null ? _graph.Output[0].Name : Found(output);
        var needed = Needed(end);
        NodeProto[] nodes = [.. _nodes.Where(node => node.Output.Any(needed.Contains))];
        _readers = nodes.SelectMany(node => node.Input.Select(value => (value, node))).ToLookup(pair => pair.value, pair => pair.node, StringComparer.Ordinal);
        var inputs = _graph.Input.Where(input => !_constants.ContainsKey(input.Name) && needed.Contains(input.Name)).ToArray();
        if (inputs.Length != 1) throw new NotSupportedException($"ImportOnnx: {_file}: expected one input, got {(inputs.Length == 0 ? "none" : string.Join(", ", inputs.Select(i => i.Name)))}.");
        _values.Add(inputs[0].Name, Input(network, inputs[0]));
        string last = inputs[0].Name;
        foreach (var node in nodes)
        {
            if (_values.ContainsKey(node.Output[0])) continue; // a bias that went into the node before
            if (IsConstant(node) || IsShape(node)) continue;
            var scope = new ImportScope(this, node);
            if (node.Domain is not ("" or "ai.onnx") || !ImportRules.All.TryGetValue(node.OpType, out var rule))
                throw new NotSupportedException($"ImportOnnx: node {scope}: expected one of {string.Join(", ", ImportRules.All.Keys.Order(StringComparer.Ordinal))}; got {node.OpType}. Cut the model before it: output: \"{last}\".");
            var value = rule(scope);
            _values[node.Output[0]] = value;
            if (scope.Absorbed is { } absorbed) _values[absorbed.Output[0]] = value;
            last = node.Output[0];
        }
        return _values.TryGetValue(end, out var result) ? result.End : throw new ArgumentException($"ImportOnnx: {_file}: expected an output that depends on the input, got {end}.", nameof(output));
    }

    /// <summary>Whether a node gives a constant: one of the file, or a weight that was cast or transposed.</summary>
    private bool IsConstant(NodeProto node)
    {
        if (_constants.ContainsKey(node.Output[0])) return true;
        if (node.Input.Count != 1 || !_constants.TryGetValue(node.Input[0], out var constant)) return false;
        if (node.OpType is not ("Cast" or "Identity" or "Transpose")) return false;
        _constants[node.Output[0]] = node.OpType == "Transpose" ? constant.Transposed() : constant;
        return true;
    }

    /// <summary>Whether a node gives the shape of a value, or a part of one: what PyTorch writes for <c>x.view(x.size(0), -1)</c>. The batch is 0 in it, as Reshape has it.</summary>
    private bool IsShape(NodeProto node)
    {
        bool known = node.Input.Any(_shapes.ContainsKey) && node.Input.All(input => _shapes.ContainsKey(input) || _constants.ContainsKey(input));
        long[][] parts = known ? [.. node.Input.Select(input => Integers(input)!)] : [];
        long[]? shape = node.OpType switch
        {
            "Shape" when _values.TryGetValue(node.Input[0], out var value) => [0, .. value.Dimensions.Select(d => (long)d)],
            "Gather" when known => [.. parts[1].Select(i => parts[0][(int)(i < 0 ? parts[0].Length + i : i)])],
            "Concat" when known => [.. parts.SelectMany(part => part)],
            "Unsqueeze" or "Squeeze" or "Cast" or "Identity" when known => parts[0], // a number, or a list of one
            _ => null,
        };
        if (shape is null) return false;
        _shapes[node.Output[0]] = shape;
        return true;
    }

    public ImportedValue? Value(string name) => _values.GetValueOrDefault(name);

    /// <summary>INT64 numbers: a constant's, or the parts of a shape; null for another value.</summary>
    public long[]? Integers(string name) => _shapes.GetValueOrDefault(name) ?? Constant(name)?.Integers();

    public OnnxConstant? Constant(string name) => _constants.GetValueOrDefault(name);

    public string Describe(NodeProto node) => $"'{NameOf(node)}' ({node.OpType}) of {_file}";

    public static string NameOf(NodeProto node) => node.Name.Length > 0 ? node.Name : node.Output[0];

    /// <summary>The one needed node that reads a node's value; null where several do, or none: the value is the end.</summary>
    public NodeProto? OnlyReader(NodeProto node) => _readers[node.Output[0]].ToArray() is [var reader] ? reader : null;

    private string Found(string output)
    {
        if (_makers.ContainsKey(output)) return output;
        return _nodes.FirstOrDefault(node => node.Name == output)?.Output[0] ?? throw new ArgumentException(
            $"ImportOnnx: {_file}: expected an output that is a node or a value of the graph, got {output}; its last ones are {string.Join(", ", _nodes.Where(n => n.OpType != "Constant").TakeLast(8).Select(NameOf))}.", nameof(output));
    }

    /// <summary>The values that one depends on.</summary>
    private HashSet<string> Needed(string end)
    {
        var needed = new HashSet<string>(StringComparer.Ordinal);
        var stack = new Stack<string>([end]);
        while (stack.TryPop(out string? value))
        {
            if (!needed.Add(value) || !_makers.TryGetValue(value, out var node)) continue;
            foreach (string input in node.Input.Where(input => input.Length > 0)) stack.Push(input);
        }
        return needed;
    }

    /// <summary>What the model takes, as the network gives it.</summary>
    private ImportedValue Input(Network network, ValueInfoProto input)
    {
        // Height and width are those of the export only; 0 is a size that is known when the model runs.
        long[] got = [.. (input.Type?.TensorType?.Shape?.Dim ?? []).Skip(1).Select(d => d.DimValue)];
        var shape = network.Shape;
        var value = got.Length switch
        {
            3 when shape.IsImage && Is(got[0], shape.Channels) => ImportedValue.ChannelsFirst(network),
            3 when shape.IsImage && Is(got[2], shape.Channels) => ImportedValue.Plain(network), // TensorFlow's
            2 when shape.IsSequence && Is(got[1], shape.Channels) => ImportedValue.Plain(network),
            1 when shape.IsVector && Is(got[0], shape.Size) => ImportedValue.Plain(network),
            1 when Is(got[0], shape.Size) => Flat(network),
            _ => null,
        };
        return value ?? throw new ArgumentException(
            $"ImportOnnx: {_file}: expected a network that ends in what the model takes, '{input.Name}' [{string.Join(", ", (string[])["N", .. got.Select(d => d == 0 ? "any" : $"{d}")])}], got {shape.Described}; start from Network.Image(height, width, channels) or Network.Vector(size).");

        static bool Is(long size, int here) => size == 0 || size == here;
    }

    /// <summary>A model that takes an image as a vector takes it in the order of the feature column.</summary>
    private static ImportedValue Flat(Network network) =>
        (network.Shape.IsImage && network.InputFormat.PixelOrder == PixelOrder.Planar ? ImportedValue.ChannelsFirst(network) : ImportedValue.Plain(network)) with { Dimensions = [network.Shape.Size] };

    private static InvalidDataException NoModel(string file, Exception? inner) => new($"ImportOnnx: {file}: expected an ONNX model, got another file, or a part of one.", inner);
}
