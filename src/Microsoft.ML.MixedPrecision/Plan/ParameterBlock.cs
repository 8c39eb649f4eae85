namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// All parameters of a network one after the other in flat buffers, so that the gradient check and the optimizer are one
/// kernel each, whatever the number of layers. Every parameter starts at a multiple of 128 elements (256 bytes of halves);
/// the gaps hold zeros and stay zero.
/// </summary>
internal sealed class ParameterBlock
{
    private const int Alignment = 128;

    public ParameterBlock(IReadOnlyList<(Node Node, string Layer)> layers, PlanOptions options)
    {
        long length = 0;
        var starts = new List<(Node Node, string Name, ParameterSpec Spec, long Start)>();
        foreach (var (node, layer) in layers)
        {
            foreach (var spec in node.Op!.Parameters(node.InputShapes))
            {
                starts.Add((node, $"{layer}.{spec.Name}", spec, length));
                length += (spec.Length + Alignment - 1) / Alignment * Alignment;
            }
        }
        Length = checked((int)Math.Max(length, Alignment));
        Weights = Flat("Weights", ElementType.Working, Region.Parameters);
        bool separateMasters = options.Precision == Precision.Mixed && options.MasterWeights && !options.ForwardOnly;
        Masters = separateMasters ? Flat("Masters", ElementType.Single, Region.Parameters) : Weights;
        Gradients = Flat("Gradients", ElementType.Working, Region.Training);
        Accumulated = options.AccumulationSteps > 1 ? Flat("AccumulatedGradients", ElementType.Single, Region.Training) : null;
        State = options.ForwardOnly ? [] : [.. options.Optimizer.StateNames.Select(name => Flat(name, ElementType.Single, Region.Training))];
        Parameters = [.. starts.Select(s => new PlannedParameter(s.Node, s.Name, s.Spec,
            Weights.Slice(s.Name, s.Start, s.Spec.Dimensions),
            Masters.Slice(s.Name + ".Master", s.Start, s.Spec.Dimensions),
            Gradients.Slice(s.Name + ".Gradient", s.Start, s.Spec.Dimensions)))];
    }

    /// <summary>Elements of each flat buffer, gaps included.</summary>
    public int Length { get; }

    public Tensor Weights { get; }

    /// <summary>FP32; the same tensor as <see cref="Weights"/> in single precision.</summary>
    public Tensor Masters { get; }

    /// <summary>Without memory in a plan that only goes forward.</summary>
    public Tensor Gradients { get; }

    /// <summary>FP32 sum over the micro-steps of an update; null where an update has one.</summary>
    public Tensor? Accumulated { get; }

    /// <summary>The optimizer's FP32 state, one flat buffer for each name.</summary>
    public IReadOnlyList<Tensor> State { get; }

    public IReadOnlyList<PlannedParameter> Parameters { get; }

    /// <summary>The parameter that an index into the flat buffers belongs to.</summary>
    public PlannedParameter At(int index) => Parameters.Last(p => p.Weight.Start <= index);

    private Tensor Flat(string name, ElementType element, Region region) => new(name, element, region, Length);
}
