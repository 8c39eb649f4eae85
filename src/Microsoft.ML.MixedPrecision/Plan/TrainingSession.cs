namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A plan on a device: memory allocated, every kernel bound. Runs steps; the host writes batches and reads the log. Not
/// thread safe. A step allocates nothing and waits for nothing.
/// </summary>
internal sealed class TrainingSession : IDisposable
{
    private const int InitialPart = 1 << 20; // elements: 4 MB, few enough uploads for a GPU and no weight on the host's memory

    private readonly Backend _backend;
    private BoundStep[] _train, _update, _evaluate;
    private readonly Tensor _rows;
    private readonly int[] _counters = new int[StepControl.CounterCount];
    private readonly float[] _scales = new float[StepControl.ScaleCount];
    private readonly float[] _log;
    private readonly Action?[] _recorded = new Action?[4]; // by what a step has: an update (1), a batch that is gathered on the device (2)
    private readonly Action?[] _recordedEvaluation = new Action?[2]; // likewise: a batch that is gathered on the device (1)
    private IResidentRows? _resident, _evaluated;
    private int[] _inOrder = [];
    private PassSums _undecided; // passes without a finite loss, whose update is still to come

    /// <param name="backend">Fresh: nothing allocated yet. Disposed with the session.</param>
    /// <param name="poison">Overwrites what a step frees with NaN, so that a lifetime that is too short shows.</param>
    /// <param name="values">What parameters and buffers start from; null for their initial values.</param>
    public TrainingSession(ExecutionPlan plan, Backend backend, bool poison = PoisonByDefault, TrainedNetwork? values = null)
    {
        (Plan, _backend) = (plan, backend);
        backend.Allocate(plan.Bytes);
        _train = Bind(plan.Train, poison);
        _update = Bind(plan.Update, poison);
        _evaluate = Bind(plan.Evaluate, poison);
        _rows = plan.Control.Counters.Slice("Rows", StepControl.Rows, 1);
        _log = new float[plan.Control.Log.Length];

        _scales[StepControl.Scale] = plan.Options.Precision == Precision.Single ? 1f : plan.Options.LossScale.Initial;
        _counters[StepControl.FirstBad] = -1;
        backend.Upload(plan.Control.Scales, _scales);
        backend.Upload(plan.Control.Counters, _counters);
        backend.Upload(plan.Coefficients, plan.Options.CoefficientTable());
        if (values is not null) values.To(this);
        else Initialize();
    }

    /// <summary>A session on a device, after a look whether it fits there.</summary>
    /// <param name="optionsOf">The options of the plan with a batch of so many rows.</param>
    /// <param name="create">Opens the device; it is disposed with the session, or where there is none.</param>
    /// <exception cref="InvalidOperationException">It does not fit on the device; the message has the largest batch that does.</exception>
    public static TrainingSession Open(Network network, int batch, Func<int, PlanOptions> optionsOf, Func<Backend> create)
    {
        var plan = PlanBuilder.Build(network, optionsOf(batch));
        var backend = create();
        var room = DeviceRoom.Of(backend);
        try
        {
            Preflight.Check(plan, room, optionsOf);
            return new TrainingSession(plan, backend);
        }
        catch (Exception e)
        {
            backend.Dispose();
            if (e is DeviceMemoryException) throw Preflight.DoesNotFit(plan, room, optionsOf, e);
            throw;
        }
    }

#if DEBUG
    private const bool PoisonByDefault = true;
#else
    private const bool PoisonByDefault = false;
#endif

    public ExecutionPlan Plan { get; }

    public string Device => _backend.Device;

    /// <summary>How the device runs the steps; null where there is nothing to say.</summary>
    public string? StepNote => _backend.StepNote;

    /// <summary>Keeps rows on the device, if they fit beside the plan.</summary>
    /// <returns>Whether <see cref="BeginPass"/> and steps without a batch are possible.</returns>
    public bool Keep(RowStore rows)
    {
        _resident = _backend.Keep(rows, Plan);
        return _resident is not null;
    }

    /// <summary>Keeps rows on the device that are evaluated, if they too fit there.</summary>
    /// <returns>Whether <see cref="BeginEvaluation"/> and evaluations without a batch are possible.</returns>
    public bool KeepForEvaluation(RowStore rows)
    {
        _evaluated = _backend.Keep(rows, Plan);
        if (_evaluated is not null) _inOrder = [.. Enumerable.Range(0, rows.Count)];
        return _evaluated is not null;
    }

    /// <summary>Begins a pass over the rows on the device that are evaluated: their batches follow in order.</summary>
    public void BeginEvaluation() => Kept(_evaluated).Begin(_inOrder);

    /// <summary>Begins a pass over the rows on the device: the batches of the steps that follow lie in this order.</summary>
    public void BeginPass(ReadOnlySpan<int> order) => Kept(_resident).Begin(order);

    /// <summary>Forward and backward over a batch and, behind the last batch of an update, the update: what a device can run as one.</summary>
    /// <param name="batch">Uploaded; null for the next one of the rows on the device.</param>
    /// <param name="profiler">Times every kernel; null for a step at full speed.</param>
    public void Step(Batch? batch, bool update, StepProfiler? profiler = null)
    {
        if (batch is not null) Stage(batch);
        if (profiler is null)
        {
            ref var step = ref _recorded[(update ? 1 : 0) + (batch is null ? 2 : 0)];
            step ??= _backend.Record([.. batch is null ? Kept(_resident).Gather : [], .. _train.Concat(update ? _update : []).Select(s => s.Work)]);
            step();
            return;
        }
        if (batch is null) foreach (var gather in Kept(_resident).Gather) gather.Run();
        profiler.Run(_train, _backend);
        if (update) profiler.Run(_update, _backend);
    }

    /// <summary>Forward and backward over a batch.</summary>
    /// <param name="profiler">Times every kernel; null for a pass at full speed.</param>
    public void TrainPass(Batch batch, StepProfiler? profiler = null) => Step(batch, update: false, profiler);

    /// <summary>Applies, or skips, the gradients of the passes since the last update.</summary>
    /// <param name="profiler">Times every kernel; null for an update at full speed.</param>
    public void Update(StepProfiler? profiler = null) => Run(_update, profiler);

    /// <summary>Frees all that what was learned does not lie in; passes and updates are errors from here on.</summary>
    public void EndTraining()
    {
        _train = _update = _evaluate = [new(new(() => throw new InvalidOperationException("The training of this session has ended: its gradients and activations are freed."), [], []), null)];
        Array.Clear(_recorded);
        Array.Clear(_recordedEvaluation);
        _backend.Free(Region.Training);
        _backend.Free(Region.Activations);
    }

    /// <summary>Forward as inference has it; the losses go to the log.</summary>
    /// <param name="batch">Uploaded; null for the next one of the rows on the device that are evaluated.</param>
    public void EvaluatePass(Batch? batch)
    {
        if (batch is not null) Stage(batch);
        ref var pass = ref _recordedEvaluation[batch is null ? 1 : 0];
        pass ??= _backend.Record([.. batch is null ? Kept(_evaluated).Gather : [], .. _evaluate.Select(s => s.Work)]);
        pass();
    }

    /// <summary>The output of the last evaluated batch, [batch, outputs].</summary>
    public void ReadOutput(Span<float> output) => _backend.Download(Plan.Output, output);

    /// <summary>A tensor of the plan, as floats: for checks and reports.</summary>
    public float[] Read(Tensor tensor)
    {
        var values = new float[tensor.Length];
        _backend.Download(tensor, values);
        return values;
    }

    /// <summary>A tensor of the plan, into an array of its length.</summary>
    public void Read(Tensor tensor, Span<float> values) => _backend.Download(tensor, values);

    /// <summary>An Int32 tensor of the plan.</summary>
    public int[] ReadIntegers(Tensor tensor)
    {
        var values = new int[tensor.Length];
        _backend.Download(tensor, values);
        return values;
    }

    /// <summary>Overwrites a tensor of the plan, rounding to its storage.</summary>
    public void Write(Tensor tensor, ReadOnlySpan<float> values) => _backend.Upload(tensor, values);

    /// <summary>Overwrites an Int32 tensor of the plan.</summary>
    public void WriteIntegers(Tensor tensor, ReadOnlySpan<int> values) => _backend.Upload(tensor, values);

    /// <summary>Waits for the device, and returns what happened since the last call.</summary>
    public StepReport ReadReport()
    {
        _backend.Download(Plan.Control.Counters, _counters);
        _backend.Download(Plan.Control.Scales, _scales);
        _backend.Download(Plan.Control.Log, _log);
        var (sums, passes) = ReadLog(_counters[StepControl.LogSlot]);
        _counters[StepControl.LogSlot] = 0;
        _backend.Upload(Plan.Control.Counters, _counters);
        int bad = _counters[StepControl.FirstBad];
        return new StepReport(sums.Loss, sums.Weight, sums.Metric, passes,
            _counters[StepControl.Applied], _counters[StepControl.Skipped], _counters[StepControl.FloorOverflows],
            _scales[StepControl.Scale], _scales[StepControl.GradientNorm], bad < 0 ? null : Plan.Parameters.At(bad).Name);
    }

    /// <summary>
    /// Passes that fit into the log before it must be read, each with an update behind it. One entry stays free, because a full log and
    /// an empty one have the same slot.
    /// </summary>
    public static int PassesBetweenReports => (StepControl.LogCapacity - 1) / 2;

    /// <summary>
    /// Adds up the passes. A training pass whose loss is not finite is left out where its update was skipped: nothing of it is in the model.
    /// Where the update was applied it counts, and shows.
    /// </summary>
    private (PassSums Sums, int Passes) ReadLog(int entries)
    {
        var (sums, passes) = (default(PassSums), 0);
        for (int i = 0; i < entries; i++)
        {
            var entry = _log.AsSpan(i * StepControl.LogWidth, StepControl.LogWidth);
            float kind = entry[StepControl.LogKind];
            if (kind is StepControl.TrainedPass or StepControl.EvaluatedPass)
            {
                var pass = new PassSums(entry[StepControl.LossSum], entry[StepControl.WeightSum], entry[StepControl.MetricSum]);
                if (kind == StepControl.TrainedPass && !double.IsFinite(pass.Loss)) _undecided += pass;
                else sums += pass;
                passes++;
                continue;
            }
            if (kind == StepControl.AppliedUpdate) sums += _undecided;
            _undecided = default;
        }
        return (sums, passes);
    }

    public float[] ReadParameter(PlannedParameter parameter) => Read(parameter.Master);

    /// <summary>Sets a parameter's master and its working copy.</summary>
    public void SetParameter(PlannedParameter parameter, ReadOnlySpan<float> values)
    {
        _backend.Upload(parameter.Weight, values);
        if (parameter.Master.Owner != parameter.Weight.Owner) _backend.Upload(parameter.Master, values);
    }

    public void Synchronize() => _backend.Synchronize();

    public bool CanBeLost => _backend.CanBeLost;

    /// <inheritdoc cref="Backend.Abandon"/>
    public void Abandon() => _backend.Abandon();

    public void Dispose() => _backend.Dispose();

    private static IResidentRows Kept(IResidentRows? rows) => rows ?? throw new InvalidOperationException("No rows are on the device; keep some first.");

    private void Stage(Batch batch)
    {
        _backend.Upload(Plan.Features, batch.Features);
        _backend.Upload(_rows, new ReadOnlySpan<int>(in batch.RowCount));
        if (Plan.Options.WithoutLoss) return;
        if (Plan.Targets.Labels.Element == ElementType.Int32) _backend.Upload(Plan.Targets.Labels, batch.Classes);
        else _backend.Upload(Plan.Targets.Labels, batch.Values);
        _backend.Upload(Plan.Targets.Weights, batch.Weights);
    }

    private void Run(BoundStep[] steps, StepProfiler? profiler)
    {
        if (profiler is not null) profiler.Run(steps, _backend);
        else foreach (var step in steps) step.Work.Run();
    }

    private BoundStep[] Bind(IReadOnlyList<PlanStep> steps, bool poison)
    {
        var bound = new List<BoundStep>(steps.Count);
        var dies = (poison ? MemoryPlanner.Lifetimes(steps) : []).Where(l => l.Key.Region == Region.Activations && l.Key != Plan.Output.Owner)
            .ToLookup(l => l.Value.Last, l => l.Key);
        foreach (var (i, step) in steps.Index())
        {
            bound.Add(new(Bound(step.Kernel), step));
            foreach (var tensor in dies[i].Where(t => t.Element != ElementType.Int32)) bound.Add(new(Bound(new Poison(tensor)), null));
        }
        return [.. bound];

        Work Bound(Kernel kernel) => new(_backend.Bind(kernel), kernel.Reads, kernel.Writes);
    }

    /// <summary>Initial values; weights through one small buffer: a large layer as an array on the host would cost its FP32 size once more.</summary>
    private void Initialize()
    {
        foreach (var group in Plan.Buffers.GroupBy(b => b.Node))
            foreach (var (i, buffer) in group.Index()) _backend.Upload(buffer.Values, group.Key.Start is { } start ? start.Buffers[i] : Filled(buffer.Spec));
        var block = Plan.Parameters;
        var part = new float[Math.Min(InitialPart, block.Parameters.Select(p => p.Spec.Length).Concat(block.Frozen.Select(p => p.Spec.Length)).DefaultIfEmpty().Max())];
        foreach (var group in block.Parameters.GroupBy(p => p.Node))
            foreach (var (i, p) in group.Index()) Initialize(p.Node, i, p.Spec, p.Number, part, p.Master.Owner == p.Weight.Owner ? [p.Weight] : [p.Weight, p.Master]);
        foreach (var group in block.Frozen.GroupBy(p => p.Node))
            foreach (var (i, p) in group.Index()) Initialize(p.Node, i, p.Spec, p.Number, part, p.Weight);
    }

    /// <param name="index">Of the parameter within its op.</param>
    /// <param name="number">Of the parameter within the network.</param>
    /// <param name="buffer">For a part of it.</param>
    private void Initialize(Node node, int index, ParameterSpec spec, int number, float[] buffer, params ReadOnlySpan<Tensor> tensors)
    {
        if (node.Start is { } start)
        {
            foreach (var tensor in tensors) _backend.Upload(tensor, start.Parameters[index]);
            return;
        }
        var random = new CounterRandom(Plan.Options.Seed, (uint)number);
        for (int first = 0; first < spec.Length; first += buffer.Length)
        {
            var part = buffer.AsSpan(0, Math.Min(buffer.Length, spec.Length - first));
            spec.Initializer.Fill(part, first, random);
            foreach (var tensor in tensors) _backend.Upload(tensor.Slice(tensor.Name, first, part.Length), part);
        }
    }

    private static float[] Filled(BufferSpec spec)
    {
        var values = new float[spec.Length];
        Array.Fill(values, spec.Initial);
        return values;
    }
}

/// <summary>Sums over the rows of passes: weight * loss, weight, weight * metric.</summary>
internal readonly record struct PassSums(double Loss, double Weight, double Metric)
{
    public static PassSums operator +(PassSums x, PassSums y) => new(x.Loss + y.Loss, x.Weight + y.Weight, x.Metric + y.Metric);
}

/// <summary>What a session did between two reports.</summary>
/// <param name="LossSum">Sum of weight * loss over the rows of all passes, without passes whose loss is not finite and whose update was skipped.</param>
/// <param name="WeightSum">Sum of the weights of the same rows.</param>
/// <param name="MetricSum">Sum of weight * metric of the same rows.</param>
/// <param name="Passes">Forward passes since the last report.</param>
/// <param name="Applied">Updates since the start.</param>
/// <param name="Skipped">Updates left out since the start.</param>
/// <param name="FloorOverflows">Overflows with the loss scale at its floor, since the start.</param>
/// <param name="Scale">The loss scale now.</param>
/// <param name="GradientNorm">Of the last update, unscaled, before clipping.</param>
/// <param name="FirstBad">The first parameter whose gradient was not finite in the last step that overflowed; null before one did.</param>
internal readonly record struct StepReport(
    double LossSum, double WeightSum, double MetricSum, int Passes, int Applied, int Skipped, int FloorOverflows, float Scale, float GradientNorm, string? FirstBad);
