namespace Microsoft.ML.MixedPrecision;

/// <summary>A network with the values that training gave it: FP32 masters and buffers, on the host. Immutable once it has left the training.</summary>
internal sealed class TrainedNetwork
{
    private readonly Dictionary<(Node, int), float[]> _parameters = [];
    private readonly Dictionary<(Node, int), float[]> _buffers = [];

    private TrainedNetwork(Network network) => Network = network;

    public Network Network { get; }

    /// <summary>Layers by their names in the plan, inputs before what uses them.</summary>
    public IReadOnlyList<(Node Node, string Name)> Layers { get; private init; } = [];

    public float[] Parameter(Node node, int index) => _parameters[(node, index)];

    public float[] Buffer(Node node, int index) => _buffers[(node, index)];

    /// <summary>What a session holds now.</summary>
    /// <param name="session">Its masters and buffers are copied.</param>
    /// <param name="old">Values of the same network that nobody needs any more: their memory is used again. They are hundreds of MB in a large network.</param>
    public static TrainedNetwork From(TrainingSession session, TrainedNetwork? old = null)
    {
        var plan = session.Plan;
        var trained = old ?? new TrainedNetwork(plan.Network) { Layers = plan.Layers };
        foreach (var group in plan.Parameters.Parameters.GroupBy(p => p.Node))
            foreach (var (i, parameter) in group.Index()) Copy(parameter.Master, trained._parameters, (group.Key, i));
        foreach (var group in plan.Buffers.GroupBy(b => b.Node))
            foreach (var (i, buffer) in group.Index()) Copy(buffer.Values, trained._buffers, (group.Key, i));
        return trained;

        void Copy(Tensor tensor, Dictionary<(Node, int), float[]> to, (Node, int) key)
        {
            if (!to.TryGetValue(key, out var values)) to.Add(key, values = new float[tensor.Length]);
            session.Read(tensor, values);
        }
    }

    /// <summary>Puts the values into a session of the same network.</summary>
    public void To(TrainingSession session)
    {
        foreach (var group in session.Plan.Parameters.Parameters.GroupBy(p => p.Node))
            foreach (var (i, parameter) in group.Index()) session.SetParameter(parameter, _parameters[(group.Key, i)]);
        foreach (var group in session.Plan.Buffers.GroupBy(b => b.Node))
            foreach (var (i, buffer) in group.Index()) session.Write(buffer.Values, _buffers[(group.Key, i)]);
    }
}
