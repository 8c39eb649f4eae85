namespace Microsoft.ML.MixedPrecision;

/// <summary>An op applied to inputs: one vertex of a network's graph. Immutable.</summary>
internal sealed class Node
{
    public Node(Op? op, IReadOnlyList<Node> inputs, Shape shape, string name)
    {
        (Op, Inputs, Shape, Name) = (op, inputs, shape, name);
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
}
