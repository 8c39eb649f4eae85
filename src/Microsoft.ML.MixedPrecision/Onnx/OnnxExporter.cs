namespace Microsoft.ML.MixedPrecision;

/// <summary>A trained network as an ONNX graph: every layer adds its own node, in the order of the network.</summary>
internal static class OnnxExporter
{
    /// <param name="expose">Marks the value of every layer, for the check that compares layer by layer.</param>
    /// <returns>The graph, and the name of the value that is the network's output.</returns>
    public static (OnnxGraph Graph, string Output) Export(TrainedNetwork trained, OnnxPrecision precision, bool expose = false)
    {
        var network = trained.Network;
        int numbers = network.InputFormat.NumbersOf(network.InputShape.Size);
        var graph = new OnnxGraph(precision, numbers, network.InputShape.Size - numbers);
        var values = new Dictionary<Node, string>();
        foreach (var (node, name) in trained.Layers)
        {
            string value = node.Op is null ? Input(graph, network) : node.Op.Export(new OnnxScope(graph, trained, node, name, values));
            values.Add(node, value);
            if (expose && HasNumbers(network, node)) graph.Expose(name, value, node.Shape);
        }
        return (graph, graph.Flatten(values[network.Node], "flat", network.Shape));
    }

    /// <summary>Whether a node's value is numbers, which can be exposed and compared; tokens are not, nor is an input that has some.</summary>
    public static bool HasNumbers(Network network, Node node) => node.Op is null ? !network.InputFormat.HasTokens : node.Op is not InputTokens;

    private static string Input(OnnxGraph graph, Network network)
    {
        var shape = network.InputShape;
        if (network.InputFormat.HasTokens) return network.InputFormat.IsTable ? "" : graph.Tokens; // of a table its two parts are values
        return shape.IsImage && network.InputFormat.PixelOrder == PixelOrder.Planar
            ? graph.Reshape(graph.Input, "image", shape.Channels, shape.Height, shape.Width)
            : graph.Unflatten(graph.Input, shape.IsImage ? "image" : "sequence", shape);
    }
}
