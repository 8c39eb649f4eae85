using System.Globalization;
using System.Text.Json;
using Google.Protobuf;
using Microsoft.ML.MixedPrecision.OnnxProto;

namespace Microsoft.ML.MixedPrecision;

/// <summary>A finished ONNX model with numbers as its input, FP32 [N, features], or tokens, UINT32 [N, any length], or both in this order, and an FP32 output [N, columns].</summary>
internal sealed class OnnxModel
{
    /// <summary>The property with the tokens that a network of them reads of a row: its input says nothing of it.</summary>
    public const string LengthProperty = "length";

    private readonly ModelProto _proto;

    public OnnxModel(ModelProto proto, IReadOnlyList<string> layers)
    {
        _proto = proto;
        Layers = layers;
        if (proto.Graph.Input.Count is not (1 or 2) || proto.Graph.Output.Count != 1 + layers.Count)
            throw new ArgumentException($"Expected an ONNX model with one input or two and {1 + layers.Count} outputs, got {proto.Graph.Input.Count} and {proto.Graph.Output.Count}.", nameof(proto));
    }

    public static OnnxModel Read(byte[] bytes) => new(ModelProto.Parser.ParseFrom(bytes), []);

    /// <summary>Which layers the outputs after the first one are.</summary>
    public IReadOnlyList<string> Layers { get; }

    public IReadOnlyList<string> InputNames => [.. _proto.Graph.Input.Select(input => input.Name)];
    public string OutputName => _proto.Graph.Output[0].Name;

    /// <summary>Numbers of a row; 0 where it has tokens only.</summary>
    public int Features => _proto.Graph.Input.Where(input => !AreTokens(input)).Sum(Width);

    /// <summary>Tokens that are read of a row; 0 where it has none.</summary>
    public int Tokens => _proto.Graph.Input.Any(AreTokens) ? int.Parse(Property(LengthProperty)!, CultureInfo.InvariantCulture) : 0;

    public int Columns => Width(_proto.Graph.Output[0]);

    public IReadOnlyList<string> LabelNames =>
        Property("labels") is { } json ? JsonSerializer.Deserialize<string[]>(json)! : [];

    /// <summary>A property of the file, or null.</summary>
    public string? Property(string key) => _proto.MetadataProps.FirstOrDefault(entry => entry.Key == key)?.Value;

    /// <summary>Equal models give equal bytes: the format's writer keeps the order of fields, and no map is written.</summary>
    public byte[] ToBytes() => _proto.ToByteArray();

    /// <summary>The same bytes, without an array of them: a large model is hundreds of MB.</summary>
    public void WriteTo(Stream stream)
    {
        using var output = new CodedOutputStream(stream, bufferSize: 1 << 20, leaveOpen: true);
        _proto.WriteTo(output);
    }

    /// <summary>The node by which ML.NET finds the slot names of a column.</summary>
    public static string SlotNamesNode(string column) => $"mlnet.{column}.SlotNames";

    /// <summary>The same model with its inputs and its first output named after the columns that ML.NET binds them to.</summary>
    /// <param name="tokens">The tokens in every row, for ML.NET, which gives no vector of a known size to an open dimension; 0 leaves it open, for vectors of any length.</param>
    public OnnxModel Rename(IReadOnlyList<string> inputs, string output, int tokens = 0)
    {
        // ML.NET cuts this ending off when it names the column, and would not find the tensor again.
        if (output.EndsWith(".output", StringComparison.Ordinal))
            throw new ArgumentException($"Expected a name for the output that does not end in '.output', got '{output}'.", nameof(output));
        if (inputs.Append(output).Distinct().Count() <= inputs.Count)
            throw new ArgumentException($"Expected different names for inputs and output, got '{string.Join("', '", inputs)}' and '{output}'; rename the feature column.", nameof(output));

        ModelProto proto = _proto.Clone();
        GraphProto graph = proto.Graph;
        var renamed = InputNames.Zip(inputs).Append((OutputName, output)).ToDictionary(StringComparer.Ordinal);
        var taken = new HashSet<string>(graph.Node.SelectMany(node => node.Output), StringComparer.Ordinal);
        taken.UnionWith(InputNames);
        bool IsNew(string name) => name == output || inputs.Contains(name);
        foreach (string name in taken.Where(name => IsNew(name) && !renamed.ContainsKey(name)).ToArray())
        {
            string free = name + ".inner";
            while (!taken.Add(free) || IsNew(free)) free += "_";
            renamed[name] = free;
        }

        string slotNames = SlotNamesNode(OutputName);
        foreach (NodeProto node in graph.Node)
        {
            for (int i = 0; i < node.Input.Count; i++) node.Input[i] = Renamed(node.Input[i]);
            for (int i = 0; i < node.Output.Count; i++) node.Output[i] = Renamed(node.Output[i]);
            if (node.Name == slotNames) node.Name = SlotNamesNode(output);
        }
        foreach (ValueInfoProto value in graph.Input.Concat(graph.Output)) value.Name = Renamed(value.Name);
        if (tokens > 0) graph.Input.Single(AreTokens).Type.TensorType.Shape.Dim[1] = new() { DimValue = tokens };
        return new OnnxModel(proto, Layers);

        string Renamed(string name) => renamed.GetValueOrDefault(name, name);
    }

    private static bool AreTokens(ValueInfoProto input) => input.Type.TensorType.ElemType == (int)TensorProto.Types.DataType.Uint32;

    private static int Width(ValueInfoProto value) => checked((int)value.Type.TensorType.Shape.Dim[1].DimValue);
}
