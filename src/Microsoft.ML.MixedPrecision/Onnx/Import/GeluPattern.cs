using Microsoft.ML.MixedPrecision.OnnxProto;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Before version 20 ONNX had no Gelu: graphs have 0.5 x (1 + erf(x / sqrt(2))) as five nodes, of which this makes one.</summary>
internal static class GeluPattern
{
    /// <param name="nodes">Of the graph, in its order.</param>
    /// <param name="constant">The number that a value is; null where it is none.</param>
    public static IReadOnlyList<NodeProto> Join(IReadOnlyList<NodeProto> nodes, Func<string, float?> constant)
    {
        var joined = new Dictionary<NodeProto, NodeProto?>(ReferenceEqualityComparer.Instance); // null: within another
        foreach (var erf in nodes.Where(node => node.OpType == "Erf"))
        {
            if (nodes.FirstOrDefault(node => node.Output.Contains(erf.Input[0])) is not { OpType: "Mul" or "Div" } inner || OnlyReader(inner, "Erf") is null) continue;
            if (OnlyReader(erf, "Add") is not { } sum || OnlyReader(sum, "Mul") is not { } product || OnlyReader(product, "Mul") is not { } half) continue;
            string x = Other(product, sum.Output[0]);
            double root = inner.OpType == "Mul" ? Math.Sqrt(0.5) : Math.Sqrt(2);
            if (inner.Input.Contains(x) && Is(Other(inner, x), root) && Is(Other(sum, erf.Output[0]), 1) && Is(Other(half, product.Output[0]), 0.5))
                foreach (var node in (NodeProto[])[inner, erf, sum, product, half]) joined.Add(node, node == half ? new NodeProto { OpType = "Gelu", Name = half.Name, Input = { x }, Output = { half.Output[0] } } : null);
        }
        return [.. nodes.Select(node => joined.TryGetValue(node, out var other) ? other : node).OfType<NodeProto>()];

        NodeProto? OnlyReader(NodeProto maker, string opType) => nodes.Where(node => node.Input.Contains(maker.Output[0])).ToArray() is [var reader] && reader.OpType == opType ? reader : null;

        bool Is(string value, double number) => constant(value) is { } there && Math.Abs(there - number) <= 1e-3; // a half, perhaps
    }

    private static string Other(NodeProto node, string input) => node.Input[node.Input[0] == input ? 1 : 0];
}
