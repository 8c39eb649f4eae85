namespace Microsoft.ML.MixedPrecision;

/// <summary>Compiles a network into an <see cref="ExecutionPlan"/>: calls each op's orchestration in order, then places the tensors.</summary>
internal sealed class PlanBuilder
{
    private readonly IReadOnlyList<Node> _nodes;
    private readonly IReadOnlyDictionary<Node, string> _names;
    private readonly IReadOnlySet<Node> _frozen;
    private readonly HashSet<Node> _absent;
    private readonly HashSet<Node> _needGradient = [];
    private readonly Dictionary<(Node, int), PlannedParameter> _parameters = [];
    private readonly Dictionary<(Node, int), Tensor> _weights = [];
    private readonly Dictionary<(Node, int), PlannedBuffer> _buffers = [];

    // Of the list of steps being built.
    private readonly Dictionary<Node, Tensor> _outputs = [];
    private readonly Dictionary<Node, List<Tensor>> _gradients = [];
    private List<PlanStep> _steps = [];
    private Phase _phase;

    private PlanBuilder(Network network, PlanOptions options)
    {
        (Network, Options) = (network, options);
        _nodes = network.Node.Sorted();
        _names = Node.UniqueNames(_nodes);
        _frozen = Freeze.Before(network.Node);
        _absent = options.Begins is { } first ? first.Sorted().Where(node => node != first).ToHashSet() : [];
        foreach (var node in _nodes.Where(n => !_frozen.Contains(n)))
            if (HasInputGradient || node.Inputs.Any(_needGradient.Contains) || node.Op?.Parameters(node.InputShapes).Count > 0) _needGradient.Add(node);
        Block = new ParameterBlock([.. _nodes.Where(n => n.Op is not null).Select(n => (n, _names[n], _absent.Contains(n) ? LayerUse.Absent : _frozen.Contains(n) ? LayerUse.Frozen : LayerUse.Trained))], options);
        foreach (var group in Block.Parameters.GroupBy(p => p.Node))
        {
            foreach (var (i, parameter) in group.Index())
            {
                _parameters.Add((group.Key, i), parameter);
                _weights.Add((group.Key, i), parameter.Weight);
            }
        }
        foreach (var group in Block.Frozen.GroupBy(p => p.Node))
            foreach (var (i, parameter) in group.Index()) _weights.Add((group.Key, i), parameter.Weight);
        foreach (var node in _nodes.Where(n => n.Op is not null && !_absent.Contains(n)))
        {
            foreach (var (i, spec) in node.Op!.Buffers(node.InputShapes).Index())
            {
                string name = $"{_names[node]}.{spec.Name}";
                _buffers.Add((node, i), new PlannedBuffer(node, name, spec, new Tensor(name, ElementType.Single, Region.Parameters, spec.Length)));
            }
        }
    }

    public Network Network { get; }
    public PlanOptions Options { get; }
    public ParameterBlock Block { get; }
    public StepControl Control { get; } = new();

    /// <summary>Rows that have tokens have none, nor has what is frozen.</summary>
    private bool HasInputGradient => Options.InputGradient && !Network.InputFormat.HasTokens && !_frozen.Contains(Network.InputNode);

    public string NameOf(Node node) => _names[node];
    public int NumberOf(Node node) => _nodes.Index().First(n => n.Item == node).Index;
    public Tensor OutputOf(Node node) => _outputs[node];
    public Tensor WeightOf(Node node, int index) => _weights[(node, index)];
    public PlannedParameter ParameterOf(Node node, int index) => _parameters[(node, index)];
    public PlannedBuffer BufferOf(Node node, int index) => _buffers[(node, index)];
    public bool NeedsGradient(Node node) => _needGradient.Contains(node);

    public void Add(Node? node, Kernel kernel) => _steps.Add(new PlanStep(_phase, node is null ? "" : _names[node], kernel));

    public void AddGradient(Node node, Tensor gradient)
    {
        if (!_gradients.TryGetValue(node, out var list)) _gradients.Add(node, list = []);
        list.Add(gradient);
    }

    public static ExecutionPlan Build(Network network, PlanOptions options) => new PlanBuilder(network, options).Build();

    private ExecutionPlan Build()
    {
        var optimizer = Options.Optimizer;
        var features = new Tensor("Features", ElementType.Single, Region.Staging, Options.Batch, (Options.Begins?.Shape ?? Network.InputShape).Size);
        var targets = Options.Loss.NewTargets(Options.Batch, Network.Shape);
        var coefficients = new Tensor("Coefficients", ElementType.Single, Region.Parameters, Options.TotalUpdates, Optimizer.CoefficientCount);

        Dictionary<string, Tensor> trainOutputs = [];
        Tensor? inputGradient = null;
        var train = Section(() =>
        {
            if (Options.ForwardOnly) return;
            _phase = Phase.Input;
            Add(null, new PassStart(Control));
            var saved = Forward(features, training: true);
            _phase = Phase.Loss;
            var gradient = LossSteps(targets, withGradient: true)!;
            Backward(gradient, saved);
            trainOutputs = _outputs.ToDictionary(o => _names[o.Key], o => o.Value);
            if (HasInputGradient) inputGradient = SumOfGradients(Network.InputNode);
        });
        var update = Section(() =>
        {
            if (Options.ForwardOnly) return;
            _phase = Phase.Check;
            var gradients = Block.Accumulated ?? Block.Gradients;
            var scan = new GradientScan(gradients);
            Add(null, scan);
            Add(null, new StepVerdict(scan, Control, Options));
            _phase = Phase.Update;
            Add(null, optimizer.Update(Block, gradients, Control, coefficients));
            Add(null, new StepAdvance(Control, Options));
        });
        Tensor? output = null;
        Dictionary<string, Tensor> layerOutputs = [];
        var evaluate = Section(() =>
        {
            Forward(features, training: false);
            _phase = Phase.Loss;
            if (!Options.WithoutLoss) LossSteps(targets, withGradient: false);
            output = _outputs[Network.Node];
            layerOutputs = _outputs.ToDictionary(o => _names[o.Key], o => o.Value);
        });

        return new ExecutionPlan
        {
            Network = Network,
            Options = Options,
            Train = train,
            Update = update,
            Evaluate = evaluate,
            Features = features,
            Targets = targets,
            Output = output!,
            Layers = [.. _nodes.Select(n => (n, _names[n]))],
            LayerOutputs = layerOutputs,
            TrainOutputs = trainOutputs,
            InputGradient = inputGradient,
            Parameters = Block,
            Buffers = [.. _buffers.Values],
            Control = Control,
            Coefficients = coefficients,
            Bytes = Place([features, .. targets.All], coefficients, [train, update, evaluate], output!),
        };
    }

    private List<PlanStep> Section(Action add)
    {
        _steps = [];
        _outputs.Clear();
        _gradients.Clear();
        add();
        return Options.KeepAll ? _steps : Fusion.Join(_steps, keep: _outputs.GetValueOrDefault(Network.Node));
    }

    private Dictionary<Node, IReadOnlyList<Tensor>> Forward(Tensor features, bool training)
    {
        var saved = new Dictionary<Node, IReadOnlyList<Tensor>>();
        foreach (var node in _nodes.Where(node => !_absent.Contains(node)))
        {
            if (node.Op is null || node == Options.Begins)
            {
                _phase = Phase.Input;
                _outputs.Add(node, node.Op is null && Network.InputFormat.HasTokens ? features : Ingested(features, node.Shape, node.Op is null ? Network.InputFormat.PixelOrder : PixelOrder.Interleaved));
                _phase = Phase.Forward;
                continue;
            }
            var pass = new ForwardPass(this, node, training, _frozen.Contains(node));
            _outputs.Add(node, node.Op.Forward(pass));
            saved.Add(node, pass.SavedTensors);
        }
        return saved;
    }

    private Tensor Ingested(Tensor features, Shape shape, PixelOrder order)
    {
        var input = new Tensor("Input", ElementType.Working, Region.Activations, shape.Batched(Options.Batch));
        Add(null, new Ingest(features, input, shape, order));
        return input;
    }

    /// <summary>Losses of the rows, their total into the log and, for training, the gradient of the output.</summary>
    private Tensor? LossSteps(LossTargets targets, bool withGradient)
    {
        var output = _outputs[Network.Node];
        var rows = new LossRows(Options.Batch);
        Add(null, Options.Loss.Rows(output, targets, rows, Control));
        Add(null, new LossTotal(rows, Control, Options.AccumulationSteps, withGradient));
        if (!withGradient) return null;
        var gradient = new Tensor("OutputGradient", ElementType.Working, Region.Activations, [.. output.Dimensions]);
        Add(null, Options.Loss.Gradient(output, targets, rows, gradient, Control));
        return gradient;
    }

    private void Backward(Tensor outputGradient, Dictionary<Node, IReadOnlyList<Tensor>> saved)
    {
        _phase = Phase.Backward;
        AddGradient(Network.Node, outputGradient);
        foreach (var node in _nodes.Reverse())
        {
            if (node.Op is null || !NeedsGradient(node)) continue;
            var gradient = SumOfGradients(node);
            node.Op.Backward(new BackwardPass(this, node, gradient, saved[node]));
        }
        if (Block.Accumulated is { } sum)
        {
            _phase = Phase.Accumulate;
            Add(null, new GradientAccumulation(Block.Gradients, sum, Control));
        }
    }

    /// <summary>Every consumer of an output has given its part by now; several parts are added, two at a time, in a fixed order.</summary>
    private Tensor SumOfGradients(Node node)
    {
        var parts = _gradients[node];
        var sum = parts[0];
        foreach (var part in parts.Skip(1))
        {
            var next = new Tensor($"{_names[node]}.OutputGradient", ElementType.Working, Region.Activations, [.. sum.Dimensions]);
            Add(node, new AddForward(sum, part, next));
            sum = next;
        }
        return sum;
    }

    private Dictionary<Region, long> Place(IReadOnlyList<Tensor> staging, Tensor coefficients, IReadOnlyList<PlanStep>[] sections, Tensor output)
    {
        long Size(Tensor t) => t.Length * (t.Element == ElementType.Working && Options.Precision == Precision.Mixed ? 2 : 4);

        IEnumerable<Tensor> parameters =
        [
            Block.Weights, .. Block.Masters == Block.Weights ? [] : (Tensor[])[Block.Masters], .. Block.FrozenWeights is { } frozen ? (Tensor[])[frozen] : [], .. _buffers.Values.Select(b => b.Values),
            Control.Counters, Control.Scales, Control.Log, coefficients,
        ];
        IEnumerable<Tensor> training = Options.ForwardOnly ? [] : [Block.Gradients, .. Block.Accumulated is { } sum ? [sum] : (Tensor[])[], .. Block.State];

        // The sections run one after the other, never at once: their activations share one arena.
        long activations = 0;
        foreach (var section in sections)
        {
            var lives = MemoryPlanner.Lifetimes(section).Where(l => l.Key.Region == Region.Activations).ToDictionary();
            if (Options.KeepAll) foreach (var tensor in lives.Keys) lives[tensor] = new(0, section.Count);
            else if (lives.TryGetValue(output.Owner, out var life)) lives[output.Owner] = life with { Last = section.Count };
            activations = Math.Max(activations, MemoryPlanner.Place(lives, Size));
        }
        return new()
        {
            [Region.Parameters] = MemoryPlanner.PlaceInOrder(parameters, Size),
            [Region.Training] = MemoryPlanner.PlaceInOrder(training, Size),
            [Region.Activations] = activations,
            [Region.Staging] = MemoryPlanner.PlaceInOrder(staging, Size),
        };
    }
}
