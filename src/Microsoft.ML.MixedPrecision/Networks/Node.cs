namespace Microsoft.ML.MixedPrecision;

/// <summary>An op applied to inputs: one vertex of a network's graph. Immutable.</summary>
internal sealed class Node
{
    public Node(Op? op, IReadOnlyList<Node> inputs, Shape shape, string name, StartValues? start = null)
    {
        (Op, Inputs, Shape, Name, Start) = (op, inputs, shape, name, start);
        InputShapes = [.. inputs.Select(i => i.Shape)];
    }

    /// <summary>What is computed; null for the network's input.</summary>
    public Op? Op { get; }
    public IReadOnlyList<Node> Inputs { get; }
    public IReadOnlyList<Shape> InputShapes { get; }

    /// <summary>The shape of one example of its output.</summary>
    public Shape Shape { get; }

    /// <summary>The user's name for the layer, or its kind and number: "Conv2d2".</summary>
    public string Name { get; }

    /// <summary>What its parameters and buffers start from; null for what the op gives them.</summary>
    public StartValues? Start { get; }

    /// <summary>This node and everything it depends on, each after its inputs. The order is a function of the graph alone.</summary>
    public IReadOnlyList<Node> Sorted()
    {
        var sorted = new List<Node>();
        var seen = new HashSet<Node>();
        var stack = new Stack<(Node Node, int Next)>([(this, 0)]);
        seen.Add(this);
        while (stack.TryPop(out var top))
        {
            if (top.Next == top.Node.Inputs.Count) { sorted.Add(top.Node); continue; }
            stack.Push((top.Node, top.Next + 1));
            var input = top.Node.Inputs[top.Next];
            if (seen.Add(input)) stack.Push((input, 0));
        }
        return sorted;
    }

    /// <summary>The name of each of these nodes, of which two branches may have named theirs alike: the later one has a number behind it.</summary>
    public static IReadOnlyDictionary<Node, string> UniqueNames(IReadOnlyList<Node> sorted)
    {
        var names = new Dictionary<Node, string>();
        var taken = new HashSet<string>(StringComparer.Ordinal);
        foreach (var node in sorted)
        {
            string name = node.Name;
            for (int i = 2; !taken.Add(name); i++) name = $"{node.Name}_{i}";
            names.Add(node, name);
        }
        return names;
    }
}

/// <summary>Values that a layer had at the end of another training. Not to be written.</summary>
/// <param name="Parameters">In the op's order and layout.</param>
/// <param name="Buffers">The same.</param>
internal sealed record StartValues(IReadOnlyList<float[]> Parameters, IReadOnlyList<float[]> Buffers);
