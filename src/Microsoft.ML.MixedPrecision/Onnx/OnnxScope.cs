namespace Microsoft.ML.MixedPrecision;

/// <summary>What an op sees while it adds itself to an ONNX graph. Values are names; images are NCHW.</summary>
internal sealed class OnnxScope(OnnxGraph graph, TrainedNetwork trained, Node node, string name, IReadOnlyDictionary<Node, string> values)
{
    private readonly IReadOnlyList<ParameterSpec> _parameters = node.Op!.Parameters(node.InputShapes);

    /// <summary>For what the members here do not say.</summary>
    public OnnxGraph Graph => graph;

    public string Name => name;
    public IReadOnlyList<Shape> InputShapes => node.InputShapes;
    public Shape OutputShape => node.Shape;

    /// <summary>The name of an input's value.</summary>
    public string Input(int index) => values[node.Inputs[index]];

    /// <summary>A node of this layer with one output.</summary>
    public string Node(string opType, ReadOnlySpan<string> inputs, params ReadOnlySpan<OnnxAttribute> attributes) =>
        graph.Node(opType, $"{name}.{opType}", inputs, attributes);

    /// <summary>A parameter as a constant in the graph's precision, as it is stored here.</summary>
    public string Weight(int index) => graph.Weights($"{name}.{_parameters[index].Name}", ParameterValues(index), _parameters[index].Dimensions);

    /// <summary>A parameter's trained FP32 values, as they are stored here: for ops whose ONNX layout differs.</summary>
    public float[] ParameterValues(int index) => trained.Parameter(node, index);

    /// <summary>A buffer's FP32 values.</summary>
    public float[] BufferValues(int index) => trained.Buffer(node, index);
}
