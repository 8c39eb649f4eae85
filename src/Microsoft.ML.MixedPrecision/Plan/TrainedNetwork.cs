namespace Microsoft.ML.MixedPrecision;

/// <summary>A network with the values that training gave it: FP32 masters and buffers, on the host. Immutable.</summary>
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
    public static TrainedNetwork From(TrainingSession session)
    {
        var plan = session.Plan;
        var trained = new TrainedNetwork(plan.Network) { Layers = plan.Layers };
        foreach (var group in plan.Parameters.Parameters.GroupBy(p => p.Node))
            foreach (var (i, parameter) in group.Index()) trained._parameters.Add((group.Key, i), session.ReadParameter(parameter));
        foreach (var group in plan.Buffers.GroupBy(b => b.Node))
            foreach (var (i, buffer) in group.Index()) trained._buffers.Add((group.Key, i), session.Read(buffer.Values));
        return trained;
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
