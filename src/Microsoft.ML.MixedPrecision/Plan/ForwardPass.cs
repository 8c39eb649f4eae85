namespace Microsoft.ML.MixedPrecision;

/// <summary>What an op sees while it adds its forward kernels to a plan.</summary>
internal sealed class ForwardPass(PlanBuilder builder, Node node, bool training, bool frozen)
{
    private readonly List<Tensor> _saved = [];
    private readonly bool _trains = training; // or evaluates

    /// <summary>True where dropout drops and batch norm takes the batch's statistics: in training, but for layers that are frozen.</summary>
    public bool Training { get; } = training && !frozen;

    /// <summary>True where images are moved: in training, before frozen layers too.</summary>
    public bool Augments => _trains;

    public string Name => builder.NameOf(node);
    public int Batch => builder.Options.Batch;
    public IReadOnlyList<Shape> InputShapes => node.InputShapes;
    public Shape OutputShape => node.Shape;

    /// <summary>Whether backward will compute the gradient of an input: what only that wants need be kept.</summary>
    public bool WillNeedInputGradient(int index) => _trains && builder.NeedsGradient(node.Inputs[index]);

    public Tensor Input(int index) => builder.OutputOf(node.Inputs[index]);

    /// <summary>A parameter in working storage.</summary>
    public Tensor Weight(int index) => builder.WeightOf(node, index);

    /// <summary>An FP32 buffer of the op.</summary>
    public Tensor Buffer(int index) => builder.BufferOf(node, index).Values;

    /// <summary>Counters of the step, and the valid rows of the batch: see <see cref="StepControl"/>.</summary>
    public Tensor Counters => builder.Control.Counters;

    /// <summary>A number of its own for each layer, for streams of random numbers.</summary>
    public int LayerNumber => builder.NumberOf(node);

    /// <summary>Of the whole training: the key of random streams.</summary>
    public uint Seed => builder.Options.Seed;

    /// <summary>The op's output, [batch, ...shape] in working storage.</summary>
    public Tensor NewOutput() => New("Output", ElementType.Working, node.Shape.Batched(Batch));

    /// <summary>A tensor that lives from its first use to its last.</summary>
    public Tensor New(string suffix, ElementType element, params ReadOnlySpan<int> dimensions) =>
        new($"{Name}.{suffix}", element, Region.Activations, dimensions);

    public void Run(Kernel kernel) => builder.Add(node, kernel);

    /// <summary>Keeps what backward will want beyond inputs and output; read back from <see cref="BackwardPass.Saved"/>.</summary>
    public void Save(Tensor tensor) => _saved.Add(tensor);

    public IReadOnlyList<Tensor> SavedTensors => _saved;
}
