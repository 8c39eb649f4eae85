namespace Microsoft.ML.MixedPrecision;

/// <summary>What an op sees while it adds its backward kernels to a plan. All gradients carry the loss scale.</summary>
internal sealed class BackwardPass(PlanBuilder builder, Node node, Tensor outputGradient, IReadOnlyList<Tensor> saved)
{
    public string Name => builder.NameOf(node);
    public int Batch => builder.Options.Batch;
    public IReadOnlyList<Shape> InputShapes => node.InputShapes;
    public Shape OutputShape => node.Shape;

    /// <summary>The gradient of the loss with respect to the output; the output's shape, working storage. Not to be written.</summary>
    public Tensor OutputGradient { get; } = outputGradient;

    public Tensor Input(int index) => builder.OutputOf(node.Inputs[index]);
    public Tensor Output => builder.OutputOf(node);

    /// <summary>What forward saved, in its order.</summary>
    public IReadOnlyList<Tensor> Saved { get; } = saved;

    public Tensor Weight(int index) => builder.WeightOf(node, index);

    /// <summary>Where the gradient of a parameter goes, in working storage; to be written whole.</summary>
    public Tensor WeightGradient(int index) => builder.ParameterOf(node, index).Gradient;

    public Tensor Buffer(int index) => builder.BufferOf(node, index).Values;
    public Tensor Counters => builder.Control.Counters;
    public int LayerNumber => builder.NumberOf(node);

    /// <summary>Of the whole training: the key of random streams.</summary>
    public uint Seed => builder.Options.Seed;

    /// <summary>False where nothing before this input is trained, so that its gradient would be thrown away.</summary>
    public bool NeedsInputGradient(int index) => builder.NeedsGradient(node.Inputs[index]);

    /// <summary>A new tensor for the gradient of an input, to be written whole; it is added to what other consumers of that input give.</summary>
    public Tensor NewInputGradient(int index)
    {
        var gradient = New("InputGradient" + (node.Inputs.Count > 1 ? index : ""), ElementType.Working, node.Inputs[index].Shape.Batched(Batch));
        PassInputGradient(index, gradient);
        return gradient;
    }

    /// <summary>Hands on an existing tensor, or a view of one, as the gradient of an input.</summary>
    public void PassInputGradient(int index, Tensor gradient) => builder.AddGradient(node.Inputs[index], gradient);

    public Tensor New(string suffix, ElementType element, params ReadOnlySpan<int> dimensions) =>
        new($"{Name}.{suffix}", element, Region.Activations, dimensions);

    public void Run(Kernel kernel) => builder.Add(node, kernel);
}
