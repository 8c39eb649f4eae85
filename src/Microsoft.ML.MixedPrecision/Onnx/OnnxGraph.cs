using System.Buffers.Binary;
using System.Globalization;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Microsoft.ML.MixedPrecision.OnnxProto;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Builds the ONNX graph of a network, node by node. A value is its name. Between the casts at the edges everything is in the
/// working precision; the inputs are numbers, FP32 [N, features], or tokens, UINT32 [N, L], or both, and the output is FP32 [N, columns], with N and L known when the model runs.
/// Images are NCHW inside the graph and NHWC at its edges, as everywhere else in the library; sequences are [N, length, features].
/// Weights are <c>Constant</c> nodes: ML.NET rejects a model that has an FP16 initializer.
/// </summary>
internal sealed class OnnxGraph
{
    public const string InputName = "features", TokensName = "tokens", OutputName = "output";

    private const int Opset = 17, LabelOpset = 3, IrVersion = 8;
    private const string LabelDomain = "ai.onnx.ml";

    private readonly List<NodeProto> _nodes = [];
    private readonly HashSet<string> _names = new(StringComparer.Ordinal) { InputName, TokensName, OutputName };
    private readonly List<Exposed> _exposed = [];
    private readonly int _features, _tokens;

    /// <param name="features">Numbers of a row; 0 where it has tokens only.</param>
    /// <param name="tokens">Tokens that are read of a row; 0 where it has none.</param>
    public OnnxGraph(OnnxPrecision precision, int features, int tokens = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(checked(features + tokens));
        Precision = precision;
        (_features, _tokens) = (features, tokens);
    }

    private readonly record struct Exposed(string Name, string Value, Shape Shape);

    public OnnxPrecision Precision { get; }

    /// <summary>The features in the working precision, [N, features].</summary>
    public string Input => field ??= ToWorking(InputName, "features.half");

    /// <summary>The tokens as INT64 [N, tokens]: rows of any length are cut, or filled up with 0.</summary>
    public string Tokens => field ??= ReadTokens();

    /// <summary>Where INT64 tokens are 0, as Booleans.</summary>
    public string IsNone(string tokens, string name) => Node("Equal", name, [tokens, Integers($"{name}.token", 0)]);

    /// <summary>Adds a node with one output.</summary>
    /// <param name="opType">An operator of the standard set, version 17.</param>
    /// <param name="name">What to call the node and its output; a number is appended where the name is taken.</param>
    /// <param name="inputs">Names of values; an empty name skips an optional input.</param>
    /// <param name="attributes">Tuples of name and value.</param>
    /// <returns>The name of the output.</returns>
    public string Node(string opType, string name, ReadOnlySpan<string> inputs, params ReadOnlySpan<OnnxAttribute> attributes) =>
        Nodes(opType, name, inputs, 1, attributes)[0];

    /// <summary>Adds a node with several outputs, such as <c>Split</c>.</summary>
    public string[] Nodes(string opType, string name, ReadOnlySpan<string> inputs, int outputs, params ReadOnlySpan<OnnxAttribute> attributes)
    {
        foreach (string input in inputs)
        {
            if (input.Length > 0 && !_names.Contains(input))
                throw new InvalidOperationException($"{opType} '{name}': expected inputs that were added before it, got '{input}'.");
        }
        string unique = Unique(name);
        var node = new NodeProto { OpType = opType, Name = unique };
        foreach (string input in inputs) node.Input.Add(input);
        foreach (OnnxAttribute attribute in attributes) node.Attribute.Add(attribute.Proto);
        var values = new string[outputs];
        for (int i = 0; i < outputs; i++) node.Output.Add(values[i] = i == 0 ? unique : Unique($"{unique}.{i}"));
        _nodes.Add(node);
        return values;
    }

    /// <summary>Weights in the working precision, rounded to nearest even.</summary>
    /// <exception cref="InvalidOperationException">A value is not finite, or becomes infinite as a half.</exception>
    public string Weights(string name, float[] values, params ReadOnlySpan<int> dimensions)
    {
        if (Precision == OnnxPrecision.Single) return Single(name, values, dimensions);
        CheckFinite(name, values);
        var bytes = new byte[2L * values.Length]; // the one copy: a large model is hundreds of MB
        var halves = MemoryMarshal.Cast<byte, Half>(bytes.AsSpan());
        TensorPrimitives.ConvertToHalf(values, halves);
        if (!TensorPrimitives.IsFiniteAll<Half>(halves))
        {
            int i = 0;
            while (Half.IsFinite(halves[i])) i++;
            throw new InvalidOperationException($"'{name}', element {i}: expected a value that half precision can hold (up to 65504), got {values[i]}; export with OnnxPrecision.Single.");
        }
        LittleEndian.Turn(halves);
        return Constant(name, TensorProto.Types.DataType.Float16, bytes, values.Length, dimensions);
    }

    /// <summary>Weights that stay FP32 in both precisions.</summary>
    /// <param name="values">Not copied: the graph and its models hold this array.</param>
    public string Single(string name, float[] values, params ReadOnlySpan<int> dimensions)
    {
        CheckFinite(name, values);
        return Constant(name, TensorProto.Types.DataType.Float, new FloatBytes(LittleEndian.Of(values)).Memory, values.Length, dimensions);
    }

    /// <summary>A scalar in the working precision.</summary>
    public string Scalar(string name, float value) => Weights(name, [value]);

    /// <summary>A list of INT64: shapes, axes, sizes.</summary>
    public string Integers(string name, params ReadOnlySpan<long> values)
    {
        var bytes = new byte[8L * values.Length];
        for (int i = 0; i < values.Length; i++) BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(8 * i), values[i]);
        return Constant(name, TensorProto.Types.DataType.Int64, bytes, values.Length, [values.Length]);
    }

    /// <summary>The value as FP32; the value itself where the working precision is FP32 already.</summary>
    public string ToSingle(string value, string name) =>
        Precision == OnnxPrecision.Single ? value : Node("Cast", name, [value], ("to", (long)TensorProto.Types.DataType.Float));

    /// <summary>An FP32 value in the working precision.</summary>
    public string ToWorking(string value, string name) =>
        Precision == OnnxPrecision.Single ? value : Node("Cast", name, [value], ("to", (long)TensorProto.Types.DataType.Float16));

    /// <summary>The same elements in another shape; the batch comes first and is not named.</summary>
    public string Reshape(string value, string name, params ReadOnlySpan<int> dimensions)
    {
        // 0 copies the batch dimension. Shape inference keeps it symbolic then, which it does not for -1.
        var shape = new long[dimensions.Length + 1];
        for (int i = 0; i < dimensions.Length; i++) shape[i + 1] = dimensions[i];
        return Node("Reshape", name, [value, Integers($"{name}.shape", shape)]);
    }

    /// <summary>NHWC to NCHW.</summary>
    public string ToChannelsFirst(string value, string name) => Node("Transpose", name, [value], ("perm", new long[] { 0, 3, 1, 2 }));

    /// <summary>NCHW to NHWC.</summary>
    public string ToChannelsLast(string value, string name) => Node("Transpose", name, [value], ("perm", new long[] { 0, 2, 3, 1 }));

    /// <summary>[N, a, b] to [N, b, a].</summary>
    public string TurnSequence(string value, string name) => Node("Transpose", name, [value], ("perm", new long[] { 0, 2, 1 }));

    /// <summary>The dimension of channels or features: second in images, last in sequences, the only one in vectors.</summary>
    public static long ChannelAxis(Shape shape) => shape.IsSequence ? 2 : 1;

    /// <summary>A value of the graph as a row of numbers for each example, in the order that it has everywhere else in the library.</summary>
    public string Flatten(string value, string name, Shape shape) =>
        shape.IsImage ? FlattenImage(value, name, shape.Height, shape.Width, shape.Channels) : shape.IsSequence ? Reshape(value, name, shape.Size) : value;

    /// <summary>A row of numbers for each example as a value of the graph.</summary>
    public string Unflatten(string value, string name, Shape shape) =>
        shape.IsImage ? ToImage(value, name, shape.Height, shape.Width, shape.Channels) : shape.IsSequence ? Reshape(value, name, shape.Length, shape.Channels) : value;

    /// <summary>A vector in NHWC order, [N, height*width*channels], as an image of the graph, [N, channels, height, width].</summary>
    public string ToImage(string value, string name, int height, int width, int channels) =>
        ToChannelsFirst(Reshape(value, $"{name}.nhwc", height, width, channels), name);

    /// <summary>An image of the graph, [N, channels, height, width], as a vector in NHWC order, [N, height*width*channels].</summary>
    public string FlattenImage(string value, string name, int height, int width, int channels) =>
        Reshape(ToChannelsLast(value, $"{name}.nhwc"), name, height * width * channels);

    /// <summary>
    /// Marks a value as an output of the model that <see cref="BuildForCheck"/> makes; <see cref="Build"/> is not changed by it.
    /// It comes out as FP32 [N, elements], images in NHWC order.
    /// </summary>
    public void Expose(string layer, string value, Shape shape) => _exposed.Add(new Exposed(layer, value, shape));

    /// <summary>The finished model.</summary>
    /// <param name="output">The value that becomes the output, [N, columns].</param>
    /// <param name="columns">Elements in a row of the output.</param>
    /// <param name="metadata">What the file says about itself.</param>
    public OnnxModel Build(string output, int columns, OnnxMetadata metadata) => Finish(output, columns, metadata, []);

    /// <summary>The same model with every exposed value as a further output, for comparing layer by layer.</summary>
    public OnnxModel BuildForCheck(string output, int columns, OnnxMetadata metadata) => Finish(output, columns, metadata, _exposed);

    private string ReadTokens()
    {
        string tokens = Node("Cast", "tokens.all", [TokensName], ("to", (long)TensorProto.Types.DataType.Int64));
        string filled = Node("Pad", "tokens.filled", [tokens, Integers("tokens.ends", 0, 0, 0, _tokens)]);
        return Node("Slice", "tokens.read", [filled, Integers("tokens.first", 0), Integers("tokens.end", _tokens), Integers("tokens.axis", 1)]);
    }

    private OnnxModel Finish(string output, int columns, OnnxMetadata metadata, List<Exposed> exposed)
    {
        if (metadata.LabelNames.Count != 0 && metadata.LabelNames.Count != columns)
            throw new ArgumentException($"Expected one label name for each of {columns} output columns, got {metadata.LabelNames.Count}.", nameof(metadata));

        int nodes = _nodes.Count;
        var names = new HashSet<string>(_names, StringComparer.Ordinal);
        try
        {
            var graph = new GraphProto { Name = "network" };
            if (_features > 0) graph.Input.Add(Value(InputName, _features));
            if (_tokens > 0) graph.Input.Add(Value(TokensName, TensorProto.Types.DataType.Uint32, new() { DimParam = "L" }));
            AddOutput(graph, OutputName, output, columns);
            foreach (Exposed value in exposed)
            {
                AddOutput(graph, Unique(value.Name + ".exposed"), Flatten(value.Value, $"{value.Name}.exposed.flat", value.Shape), value.Shape.Size);
            }
            if (metadata.LabelNames.Count > 0) AddSlotNames(metadata.LabelNames);
            graph.Node.AddRange(_nodes);
            return new OnnxModel(Describe(graph, metadata), [.. exposed.Select(value => value.Name)]);
        }
        finally
        {
            _nodes.RemoveRange(nodes, _nodes.Count - nodes); // so that a graph can be built twice
            _names.IntersectWith(names);
        }
    }

    private void AddOutput(GraphProto graph, string name, string value, int columns)
    {
        // An Identity where no cast is due: the output must be a value of its own, with this name.
        NodeProto node = new() { Name = name, Input = { value }, Output = { name }, OpType = Precision == OnnxPrecision.Single ? "Identity" : "Cast" };
        if (node.OpType == "Cast") node.Attribute.Add(((OnnxAttribute)("to", (long)TensorProto.Types.DataType.Float)).Proto);
        _nodes.Add(node);
        graph.Output.Add(Value(name, columns));
    }

    private void AddSlotNames(IReadOnlyList<string> labels)
    {
        // ML.NET looks for a node of this name and names the slots of the column after its keys. It computes nothing.
        var probe = new TensorProto { DataType = (int)TensorProto.Types.DataType.String, Dims = { 1 }, StringData = { ByteString.CopyFromUtf8(labels[0]) } };
        string input = Node("Constant", "labels", [], ("value", probe));
        var codes = new long[labels.Count];
        for (int i = 0; i < codes.Length; i++) codes[i] = i;
        Node("LabelEncoder", OnnxModel.SlotNamesNode(OutputName), [input], ("keys_strings", labels.ToArray()), ("values_int64s", codes));
        _nodes[^1].Domain = LabelDomain;
    }

    private ModelProto Describe(GraphProto graph, OnnxMetadata metadata)
    {
        var model = new ModelProto
        {
            IrVersion = IrVersion,
            ProducerName = metadata.ProducerName,
            ProducerVersion = metadata.ProducerVersion,
            ModelVersion = metadata.ModelVersion,
            DocString = metadata.Description,
            Graph = graph,
            OpsetImport = { new OperatorSetIdProto { Version = Opset } },
        };
        if (metadata.LabelNames.Count > 0) model.OpsetImport.Add(new OperatorSetIdProto { Domain = LabelDomain, Version = LabelOpset });
        Add("precision", Precision.ToString());
        if (_tokens > 0) Add(OnnxModel.LengthProperty, _tokens.ToString(CultureInfo.InvariantCulture));
        if (metadata.LabelNames.Count > 0) Add("labels", System.Text.Json.JsonSerializer.Serialize(metadata.LabelNames));
        foreach ((string key, string value) in metadata.Properties) Add(key, value);
        return model;

        void Add(string key, string value) => model.MetadataProps.Add(new StringStringEntryProto { Key = key, Value = value });
    }

    private static ValueInfoProto Value(string name, int columns) => Value(name, TensorProto.Types.DataType.Float, new() { DimValue = columns });

    private static ValueInfoProto Value(string name, TensorProto.Types.DataType type, TensorShapeProto.Types.Dimension columns) => new()
    {
        Name = name,
        Type = new TypeProto
        {
            TensorType = new TypeProto.Types.Tensor
            {
                ElemType = (int)type,
                Shape = new TensorShapeProto
                {
                    Dim =
                    {
                        new TensorShapeProto.Types.Dimension { DimParam = "N" },
                        columns,
                    },
                },
            },
        },
    };

    private string Constant(string name, TensorProto.Types.DataType type, ReadOnlyMemory<byte> littleEndian, int elements, ReadOnlySpan<int> dimensions)
    {
        var tensor = new TensorProto { DataType = (int)type, RawData = UnsafeByteOperations.UnsafeWrap(littleEndian) };
        long expected = 1;
        foreach (int dimension in dimensions)
        {
            tensor.Dims.Add(dimension);
            expected = checked(expected * dimension);
        }
        if (expected != elements)
            throw new ArgumentException($"'{name}': expected {expected} values for the shape [{string.Join(", ", dimensions.ToArray())}], got {elements}.", nameof(dimensions));
        return Node("Constant", name, [], ("value", tensor));
    }

    private static void CheckFinite(string name, ReadOnlySpan<float> values)
    {
        if (TensorPrimitives.IsFiniteAll(values)) return;
        int i = 0;
        while (float.IsFinite(values[i])) i++;
        throw new InvalidOperationException($"'{name}', element {i}: expected a finite weight, got {values[i]}; the training diverged, lower the learning rate.");
    }

    private string Unique(string name)
    {
        string unique = name;
        for (int i = 2; !_names.Add(unique); i++) unique = $"{name}_{i}";
        return unique;
    }
}
