using System.Runtime.InteropServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>A network with the values that training gave it: FP32 masters and buffers, on the host. Immutable once it has left the training.</summary>
internal sealed class TrainedNetwork
{
    private readonly Dictionary<(Node, int), float[]> _parameters = [];
    private readonly Dictionary<(Node, int), float[]> _buffers = [];
    private readonly IReadOnlySet<Node> _frozen;

    private TrainedNetwork(ExecutionPlan plan)
    {
        (Network, Layers, _frozen) = (plan.Network, plan.Layers, Freeze.Before(plan.Network.Node));
        foreach (var node in _frozen)
        {
            if (node.Start is not { } start) continue;
            foreach (var (i, values) in start.Parameters.Index()) _parameters.Add((node, i), values);
            foreach (var (i, values) in start.Buffers.Index()) _buffers.Add((node, i), values);
        }
    }

    public Network Network { get; }

    /// <summary>Layers by their names in the plan, inputs before what uses them.</summary>
    public IReadOnlyList<(Node Node, string Name)> Layers { get; }

    public float[] Parameter(Node node, int index) => _parameters[(node, index)];

    public float[] Buffer(Node node, int index) => _buffers[(node, index)];

    /// <summary>What a session holds now.</summary>
    /// <param name="session">Its masters and buffers are copied.</param>
    /// <param name="old">Values of the same network that nobody needs any more: their memory is used again. They are hundreds of MB in a large network.</param>
    public static TrainedNetwork From(TrainingSession session, TrainedNetwork? old = null)
    {
        var trained = old ?? new TrainedNetwork(session.Plan);
        foreach (var (tensor, values) in trained.Places(session.Plan)) session.Read(tensor, values);
        return trained;
    }

    /// <summary>Writes the values, in the order of a plan of the same network.</summary>
    public void Write(BinaryWriter to, ExecutionPlan plan)
    {
        foreach (var (_, values) in Places(plan)) to.Write(MemoryMarshal.AsBytes<float>(values));
    }

    /// <summary>What <see cref="Write"/> wrote.</summary>
    public static TrainedNetwork Read(BinaryReader from, ExecutionPlan plan)
    {
        var trained = new TrainedNetwork(plan);
        foreach (var (_, values) in trained.Places(plan)) from.BaseStream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        return trained;
    }

    /// <summary>Puts the values into a session of the same network.</summary>
    public void To(TrainingSession session)
    {
        foreach (var group in session.Plan.Parameters.Parameters.GroupBy(p => p.Node))
            foreach (var (i, parameter) in group.Index()) session.SetParameter(parameter, _parameters[(group.Key, i)]);
        foreach (var group in session.Plan.Parameters.Frozen.GroupBy(p => p.Node))
            foreach (var (i, parameter) in group.Index()) session.Write(parameter.Weight, _parameters[(group.Key, i)]);
        foreach (var group in session.Plan.Buffers.GroupBy(b => b.Node))
            foreach (var (i, buffer) in group.Index()) session.Write(buffer.Values, _buffers[(group.Key, i)]);
    }

    /// <summary>The network, to train on from these values, or to build another one on.</summary>
    public Network ToNetwork() => Network.StartingFrom(node => new(
        [.. node.Op!.Parameters(node.InputShapes).Select((_, i) => Parameter(node, i))],
        [.. node.Op.Buffers(node.InputShapes).Select((_, i) => Buffer(node, i))]));

    private bool IsFrozenAsItCame(Node node) => node.Start is not null && _frozen.Contains(node);

    /// <summary>Where a plan has each of the values, and the array for it; not of those that are frozen as they came, which are the network's own.</summary>
    private IEnumerable<(Tensor Tensor, float[] Values)> Places(ExecutionPlan plan)
    {
        foreach (var group in plan.Parameters.Parameters.GroupBy(p => p.Node))
            foreach (var (i, parameter) in group.Index()) yield return Place(_parameters, group.Key, i, parameter.Master);
        foreach (var group in plan.Parameters.Frozen.Where(p => !IsFrozenAsItCame(p.Node)).GroupBy(p => p.Node))
            foreach (var (i, parameter) in group.Index()) yield return Place(_parameters, group.Key, i, parameter.Weight);
        foreach (var group in plan.Buffers.Where(b => !IsFrozenAsItCame(b.Node)).GroupBy(b => b.Node))
            foreach (var (i, buffer) in group.Index()) yield return Place(_buffers, group.Key, i, buffer.Values);

        static (Tensor, float[]) Place(Dictionary<(Node, int), float[]> all, Node node, int index, Tensor tensor)
        {
            if (!all.TryGetValue((node, index), out var values)) all.Add((node, index), values = new float[tensor.Length]);
            return (tensor, values);
        }
    }
}
