namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// All trained parameters of a network one after the other in flat buffers, so that the gradient check and the optimizer are one
/// kernel each, whatever the number of layers. Every parameter starts at a multiple of 128 elements (256 bytes of halves);
/// the gaps hold zeros and stay zero. Frozen parameters lie apart, in a buffer that only the kernels of the network read.
/// </summary>
internal sealed class ParameterBlock
{
    private const int Alignment = 128;

    /// <param name="layers">In the order of the network.</param>
    public ParameterBlock(IReadOnlyList<(Node Node, string Layer, LayerUse Use)> layers, PlanOptions options)
    {
        var (trained, frozen) = (new Row(), new Row());
        int number = 0;
        foreach (var (node, layer, use) in layers)
        {
            foreach (var spec in node.Op!.Parameters(node.InputShapes))
            {
                if (use != LayerUse.Absent) (use == LayerUse.Frozen ? frozen : trained).Add(node, $"{layer}.{spec.Name}", spec, number);
                number++; // an absent layer's too, so that what is drawn for those behind it is the same without it
            }
        }
        Length = checked((int)Math.Max(trained.Length, Alignment));
        Weights = Flat("Weights", ElementType.Working, Region.Parameters);
        bool separateMasters = options.Precision == Precision.Mixed && options.MasterWeights && !options.ForwardOnly;
        Masters = separateMasters ? Flat("Masters", ElementType.Single, Region.Parameters) : Weights;
        Gradients = Flat("Gradients", ElementType.Working, Region.Training);
        Accumulated = options.AccumulationSteps > 1 ? Flat("AccumulatedGradients", ElementType.Single, Region.Training) : null;
        State = options.ForwardOnly ? [] : [.. options.Optimizer.StateNames.Select(name => Flat(name, ElementType.Single, Region.Training))];
        Parameters = [.. trained.Places.Select(p => new PlannedParameter(p.Node, p.Name, p.Spec, p.Number,
            Weights.Slice(p.Name, p.Start, p.Spec.Dimensions),
            Masters.Slice(p.Name + ".Master", p.Start, p.Spec.Dimensions),
            Gradients.Slice(p.Name + ".Gradient", p.Start, p.Spec.Dimensions)))];
        if (frozen.Length == 0) return;
        FrozenWeights = new("FrozenWeights", ElementType.Working, Region.Parameters, checked((int)frozen.Length));
        Frozen = [.. frozen.Places.Select(p => new FrozenParameter(p.Node, p.Name, p.Spec, p.Number, FrozenWeights.Slice(p.Name, p.Start, p.Spec.Dimensions)))];
    }

    /// <summary>Elements of each flat buffer, gaps included, but for that of the frozen.</summary>
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

    /// <summary>The trained ones.</summary>
    public IReadOnlyList<PlannedParameter> Parameters { get; }

    /// <summary>All parameters that are not trained; null without.</summary>
    public Tensor? FrozenWeights { get; }

    public IReadOnlyList<FrozenParameter> Frozen { get; } = [];

    /// <summary>The trained parameter that an index into the flat buffers belongs to.</summary>
    public PlannedParameter At(int index) => Parameters.Last(p => p.Weight.Start <= index);

    private Tensor Flat(string name, ElementType element, Region region) => new(name, element, region, Length);

    /// <summary>Parameters one after the other.</summary>
    private sealed class Row
    {
        public long Length { get; private set; }

        public List<(Node Node, string Name, ParameterSpec Spec, int Number, long Start)> Places { get; } = [];

        public void Add(Node node, string name, ParameterSpec spec, int number)
        {
            Places.Add((node, name, spec, number, Length));
            Length += (spec.Length + Alignment - 1) / Alignment * Alignment;
        }
    }
}
