using System.Runtime.InteropServices;
using Google.Protobuf;
using Microsoft.ML.MixedPrecision.OnnxProto;
using DataType = Microsoft.ML.MixedPrecision.OnnxProto.TensorProto.Types.DataType;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>An ONNX file as others write it: weights are initializers, images come as they are. Random numbers of a seed.</summary>
internal sealed class ForeignGraph
{
    private readonly GraphProto _graph = new() { Name = "foreign" };
    private readonly ModelProto _model;
    private readonly Random _random = new(5);

    /// <param name="opset">The version of the operators.</param>
    public ForeignGraph(long opset, string input, params int[] dimensions)
    {
        _model = new ModelProto { IrVersion = opset < 9 ? 3 : 8, Graph = _graph, OpsetImport = { new OperatorSetIdProto { Version = opset } } };
        AddInput(input, dimensions);
    }

    public ForeignGraph AddInput(string name, params int[] dimensions)
    {
        _graph.Input.Add(Value(name, dimensions));
        return this;
    }

    /// <summary>Numbers from <paramref name="least"/> on, two wide.</summary>
    public ForeignGraph Weights(string name, int[] dimensions, float least = -1, Action<TensorProto, float[]>? write = null)
    {
        float[] values = [.. Enumerable.Range(0, dimensions.Aggregate(1, (a, b) => a * b)).Select(_ => least + 2 * _random.NextSingle())];
        var tensor = new TensorProto { Name = name, DataType = (int)DataType.Float };
        tensor.Dims.AddRange(dimensions.Select(d => (long)d));
        (write ?? Raw)(tensor, values);
        _graph.Initializer.Add(tensor);
        if (_model.IrVersion < 4) _graph.Input.Add(Value(name, dimensions)); // as it was once
        return this;
    }

    public ForeignGraph Integers(string name, params long[] values)
    {
        _graph.Initializer.Add(new TensorProto { Name = name, DataType = (int)DataType.Int64, Dims = { values.Length }, Int64Data = { values } });
        return this;
    }

    /// <param name="output">Also the node's name, with "node" before it.</param>
    public ForeignGraph Node(string opType, string output, string[] inputs, params OnnxAttribute[] attributes)
    {
        var node = new NodeProto { OpType = opType, Name = $"node {output}", Input = { inputs }, Output = { output } };
        foreach (OnnxAttribute attribute in attributes) node.Attribute.Add(attribute.Proto);
        _graph.Node.Add(node);
        return this;
    }

    public void Save(string path, string output)
    {
        _graph.Output.Add(new ValueInfoProto { Name = output, Type = new TypeProto { TensorType = new() { ElemType = (int)DataType.Float } } });
        File.WriteAllBytes(path, _model.ToByteArray());
    }

    public static void Raw(TensorProto tensor, float[] values) => tensor.RawData = ByteString.CopyFrom(MemoryMarshal.AsBytes(values.AsSpan()));

    public static void Listed(TensorProto tensor, float[] values) => tensor.FloatData.AddRange(values);

    private static ValueInfoProto Value(string name, int[] dimensions)
    {
        var shape = new TensorShapeProto { Dim = { new TensorShapeProto.Types.Dimension { DimParam = "N" } } };
        if (dimensions.Length > 0 && name.StartsWith('w')) shape.Dim.Clear();
        shape.Dim.AddRange(dimensions.Select(d => new TensorShapeProto.Types.Dimension { DimValue = d }));
        return new ValueInfoProto { Name = name, Type = new TypeProto { TensorType = new() { ElemType = (int)DataType.Float, Shape = shape } } };
    }
}
