using System.Diagnostics;
using ILGPU.Runtime;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>One Fit: the loop over epochs and batches. The device is read about ten times a second, not every step.</summary>
internal sealed class TrainingRun : IDisposable
{
    private static readonly TimeSpan ReportInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>Copies that only the loss of the device would need take at most a twentieth of the training's time.</summary>
    private const int LeastTimePerCopy = 20;

    private readonly MixedPrecisionTrainer.Options _options;
    private readonly TrainingData _data;
    private readonly DeviceChoice _device;
    private readonly TrainingLog _log;
    private readonly ExecutionPlan _plan;
    private readonly TrainingSession _session;
    private readonly StoppingRule _rule;
    private readonly Batch[] _ring;
    private readonly int[]? _order; // of the rows on the device; null where batches are uploaded
    private readonly bool _validationIsThere; // on the device
    private Task? _ordering;
    private readonly uint _seed;
    private readonly CheckpointFile? _checkpoint;
    private readonly Node? _begins; // the layer whose values the rows have; null where they have features
    private readonly List<EpochReport> _epochs = [];
    private readonly Stopwatch _clock = new();

    private TimeSpan _lastReport, _epochStart;
    private EpochTotals _totals;
    private StepReport _last;
    private int _unread, _microSteps;
    private long _trainedRows;
    private TrainedNetwork? _best, _spare;
    private (TrainedNetwork Network, int Epoch)? _kept; // on a device that can be lost
    private TimeSpan _keptFor; // the time that copies of the model took
    private (int First, int Count) _profiled;
    private StepProfiler? _profiler;
    private TrainingProfile? _profile;
    private int _updates; // applied or skipped, by this run
    private IReadOnlyList<(string What, string Value)> _identity = []; // of the checkpoint
    private int _resumed; // epochs that an earlier run trained
    private TimeSpan _before, _writing; // the time of those, and that checkpoints took

    public TrainingRun(MixedPrecisionTrainer.Options options, Network network, Loss loss, TrainingData data, DeviceChoice device, uint seed, TrainingLog log, CheckpointFile? checkpoint = null, Node? begins = null)
    {
        (_options, _data, _device, _seed, _log, _checkpoint, _begins) = (options, data, device, seed, log, checkpoint, begins);
        Batches = (data.Training.Rows + options.BatchSize - 1) / options.BatchSize;
        _rule = new StoppingRule(options.EarlyStopping);
        _session = TrainingSession.Open(network, options.BatchSize, batch => NewPlanOptions(loss, batch), () => device.Create(options.Precision));
        _plan = _session.Plan;
        _order = data.Training.Store is { } store && _session.Keep(store) ? [.. Enumerable.Range(0, store.Count)] : null;
        _validationIsThere = data.Validation?.Store is { } validation && _session.KeepForEvaluation(validation);
        _ring = [.. Enumerable.Range(0, Prefetcher.Batches).Select(_ => data.Training.NewBatch(options.BatchSize))];
        _last = new StepReport(0, 0, 0, 0, 0, 0, 0, options.Precision == Precision.Mixed ? _plan.Options.LossScale.Initial : 1f, 0, null);
    }

    /// <summary>Of an epoch.</summary>
    private long Batches { get; }

    public ExecutionPlan Plan => _plan;

    /// <exception cref="OperationCanceledException">Cancelled before the first update.</exception>
    /// <exception cref="InvalidOperationException">The training diverged; or a row cannot be trained on.</exception>
    /// <exception cref="TrainingLostException">The device was lost.</exception>
    public (TrainedNetwork Network, TrainingReport Report) Run()
    {
        try
        {
            return RunAll();
        }
        catch (AcceleratorException e) when (_session.CanBeLost)
        {
            throw Lost(e);
        }
    }

    private (TrainedNetwork Network, TrainingReport Report) RunAll()
    {
        var token = _options.CancellationToken;
        _log.Start(_session.Device, _device.Explanation, _plan, _data, _options);
        if (_order is not null) _log.Resident("training", _data.Training.Store!);
        if (_validationIsThere) _log.Resident("validation", _data.Validation!.Store!);
        Resume();
        if (_options.Profile) (_profiler, _profiled) = (new StepProfiler(_plan, _session.Device), StepProfiler.Window(_plan.Options.TotalUpdates - _last.Applied - _last.Skipped));
        _clock.Start();
        var reason = _rule.Stop ? StopReason.EarlyStopping : StopReason.Completed;
        try
        {
            for (int epoch = _resumed + 1; epoch <= _options.Epochs && reason == StopReason.Completed; epoch++)
                if (RunEpoch(epoch, token)) reason = StopReason.EarlyStopping;
            CheckEnd();
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            ReadReport();
            if (_last.Applied == 0) throw;
            reason = StopReason.Cancelled;
        }
        return Result(reason);
    }

    /// <summary>Goes on where an earlier run wrote its last checkpoint, if it did.</summary>
    private void Resume()
    {
        if (_checkpoint is null) return;
        _identity = TrainingIdentity.Of(_plan, _options, _data, _seed);
        if (_checkpoint.Read(_identity, _session) is not { } run) return;
        _epochs.AddRange(run.Epochs);
        (_resumed, _microSteps, _before, _rule.State, _best) = (run.Epochs.Count, run.Passes, run.Duration, run.Rule, run.Best);
        (_last, _totals) = (_session.ReadReport(), new EpochTotals(run.Epochs[^1].Loss, 1, run.Epochs[^1].Metric));
        _log.Resumed(_checkpoint, _resumed, _options.Epochs);
    }

    /// <summary>A disk that is full does not end a training.</summary>
    private void WriteCheckpoint(int epoch)
    {
        var start = _clock.Elapsed;
        try
        {
            _checkpoint?.Write(_identity, _seed, new RunState(_epochs, _microSteps, _before + _clock.Elapsed, _rule.State, _best), _session);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _log.NoCheckpoint(_checkpoint!, epoch, e);
        }
        _writing += _clock.Elapsed - start;
    }

    /// <summary>What a message says of the checkpoint; empty where there is none.</summary>
    private string Resumable => _checkpoint?.Seed is null ? "" : $" A Fit with the same data and options goes on from the checkpoint {_checkpoint}.";

    /// <summary>What is left when the driver no longer answers: a model on the host, if one was copied in time.</summary>
    private TrainingLostException Lost(AcceleratorException cause)
    {
        _session.Abandon();
        _profiler = null;
        string kept = _kept is { } model
            ? FormattableString.Invariant($"The model of epoch {model.Epoch}{(_data.Validation is null ? "" : ", the best of the validation,")} is kept: {nameof(DeviceLostException)}.{nameof(DeviceLostException.Model)}")
            : "No model of an earlier epoch is kept";
        return new TrainingLostException(FormattableString.Invariant(
            $"{_session.Device}: lost in epoch {Math.Min(_epochs.Count + 1, _options.Epochs)} of {_options.Epochs}, after {_last.Applied} updates ({cause.Message.TrimEnd('.')}). {kept}. See what the system's log says of the device, and train again, there or on the CPU (Device = \"cpu\").{Resumable}"),
            _kept?.Network, Report(StopReason.DeviceLost, _kept?.Epoch ?? 0), cause);
    }

    public void Dispose() => _session.Dispose();

    private bool Restores(StopReason reason) =>
        _best is not null && (reason == StopReason.Cancelled || _options.EarlyStopping is { RestoreBest: true });

    private (TrainedNetwork, TrainingReport) Result(StopReason reason)
    {
        bool restores = Restores(reason);
        EndProfile();
        var report = Report(reason, restores ? _rule.BestEpoch : _epochs.Count);
        _log.End(report, restores, _options.Epochs, Resumable);
        if (restores) return (_best!, report);
        _session.EndTraining(); // the copy of the weights then needs no memory that the training did not
        return (TrainedNetwork.From(_session, _session.CanBeLost ? _spare : _best), report);
    }

    private TrainingReport Report(StopReason reason, int modelEpoch) => new(_plan)
    {
        Epochs = _epochs,
        ResumedEpochs = _resumed,
        StopReason = reason,
        ModelEpoch = modelEpoch,
        AppliedUpdates = _last.Applied,
        SkippedUpdates = _last.Skipped,
        Rows = _data.Training.Rows,
        ValidationRows = _data.Validation?.Rows ?? 0,
        Device = _session.Device,
        DeviceReason = _device.Explanation,
        Seed = unchecked((int)_seed),
        Duration = _before + _clock.Elapsed,
        Profile = _profile,
    };

    /// <summary>
    /// Copies the model to the host where the training may need it again. A device that can be lost is copied into other arrays than those
    /// of the copy before, which would be lost with it if the device went in the middle.
    /// </summary>
    private void Keep(int epoch, bool isBest)
    {
        bool wanted = isBest && (_options.EarlyStopping is { RestoreBest: true } || _options.CancellationToken.CanBeCanceled || _checkpoint is not null);
        if (!_session.CanBeLost)
        {
            if (wanted) _best = TrainedNetwork.From(_session, _best);
            return;
        }
        bool worthIt = (isBest || _data.Validation is null) && epoch < _options.Epochs && _clock.Elapsed >= _keptFor * LeastTimePerCopy;
        if (!wanted && !worthIt) return;
        var start = _clock.Elapsed;
        var copy = TrainedNetwork.From(_session, _spare);
        _spare = _kept?.Network;
        _kept = (copy, epoch);
        if (wanted) _best = copy;
        _keptFor += _clock.Elapsed - start;
    }

    /// <returns>Whether the training should stop.</returns>
    private bool RunEpoch(int epoch, CancellationToken token)
    {
        _epochStart = _clock.Elapsed;
        _totals = default;
        int applied = _last.Applied, skipped = _last.Skipped;
        long batch = 0;
        if (_order is not null) BeginPass(epoch, _order);
        using (var batches = _order is not null ? null : new Prefetcher(() => _options.Shuffle ? _data.Training.Shuffled(_seed, epoch) : _data.Training.InOrder(), _ring))
        {
            while (true)
            {
                token.ThrowIfCancellationRequested();
                var next = batches?.Next(token);
                if (batches is null ? batch == Batches : next is null) break;
                if (batch == Batches) throw DataChanged(epoch);
                Step(next, last: epoch == _options.Epochs && batch == Batches - 1);
                _trainedRows += Math.Min(_options.BatchSize, _data.Training.Rows - batch * _options.BatchSize);
                batch++;
                if (_unread < TrainingSession.PassesBetweenReports && _clock.Elapsed - _lastReport < ReportInterval) continue;
                ReadReport();
                CheckDivergence(epoch);
                Tell(epoch, batch, null);
            }
        }
        if (batch != Batches) throw DataChanged(epoch);
        ReadReport();
        CheckDivergence(epoch);

        EpochTotals? validation = _data.Validation is null ? null : Validate(token);
        bool isBest = validation is { } v && _rule.Add(epoch, v.Loss, v.Metric);
        Keep(epoch, isBest);
        var report = new EpochReport(epoch, _totals.Loss, _totals.Metric, validation?.Loss, validation?.Metric, LearningRate, _last.Scale,
            _last.Applied - applied, _last.Skipped - skipped, _clock.Elapsed - _epochStart);
        _epochs.Add(report);
        _log.Epoch(report, _options.Epochs);
        if (epoch == _resumed + 1 && _session.StepNote is { } note) _log.Step(note);
        if (epoch < _options.Epochs && _clock.Elapsed >= _writing * _options.LeastTimePerCheckpoint) WriteCheckpoint(epoch);
        Tell(epoch, batch, validation);
        return _rule.Stop && epoch < _options.Epochs;
    }

    /// <summary>Sends the order of an epoch to the device, and makes that of the next one while the device works.</summary>
    private void BeginPass(int epoch, int[] order)
    {
        if (_options.Shuffle)
        {
            if (_ordering is null) new ShuffleOrder(_seed, epoch).Permute(order);
            else _ordering.Wait(CancellationToken.None);
        }
        _session.BeginPass(order);
        if (_options.Shuffle && epoch < _options.Epochs) _ordering = Task.Run(() => new ShuffleOrder(_seed, epoch + 1).Permute(order));
    }

    /// <param name="batch">Null for the next one of the rows on the device.</param>
    private void Step(Batch? batch, bool last)
    {
        var profiler = _updates >= _profiled.First ? _profiler : null;
        bool update = ++_microSteps % _options.GradientAccumulationSteps == 0 || last;
        _session.Step(batch, update, profiler);
        _unread++;
        if (!update) return;
        if (++_updates == _profiled.First + _profiled.Count) EndProfile();
    }

    /// <summary>When it has seen its steps, or when the training ends before.</summary>
    private void EndProfile()
    {
        if (_profiler is null) return;
        _profile = _profiler.Result();
        _profiler = null;
        if (_profile is not null) _log.Profile(_profile);
        else _log.NoProfile();
    }

    private EpochTotals Validate(CancellationToken token)
    {
        var totals = default(EpochTotals);
        var rows = _data.Validation!;
        if (_validationIsThere)
        {
            _session.BeginEvaluation();
            for (long first = 0; first < rows.Rows; first += _options.BatchSize) Evaluate(null);
        }
        else
        {
            using var batches = new Prefetcher(rows.InOrder, _ring);
            while (batches.Next(token) is { } batch) Evaluate(batch);
        }
        Add(ref totals);
        return totals;

        void Evaluate(Batch? batch)
        {
            token.ThrowIfCancellationRequested();
            _session.EvaluatePass(batch);
            if (++_unread == TrainingSession.PassesBetweenReports) Add(ref totals);
        }

        void Add(ref EpochTotals to)
        {
            var report = _session.ReadReport();
            _unread = 0;
            to = to.Plus(report);
        }
    }

    private void ReadReport()
    {
        var report = _session.ReadReport();
        _unread = 0;
        _lastReport = _clock.Elapsed;
        _log.Scale(_last, report);
        _totals = _totals.Plus(report);
        _last = report;
    }

    private double LearningRate => _plan.Options.Optimizer.LearningRate * _plan.Options.Schedule.Factor(Math.Min(_last.Applied, _plan.Options.TotalUpdates - 1), _plan.Options.Length);

    private void CheckDivergence(int epoch)
    {
        if (_last.FloorOverflows == 0) return;
        throw new InvalidOperationException(FormattableString.Invariant(
            $"The training diverged in epoch {epoch}: the gradient of '{_last.FirstBad}' was not finite at a loss scale of {_last.Scale}, which goes no lower. Lower the learning rate, set GradientClipNorm, scale the features (Transforms.NormalizeMeanVariance){(_options.Precision == Precision.Mixed ? ", or train with Precision.Single: a value beyond 65504 is infinite as a half" : "")}."));
    }

    /// <summary>A model whose losses are no numbers is not handed out.</summary>
    private void CheckEnd()
    {
        if (_last.Applied == 0)
            throw new InvalidOperationException(FormattableString.Invariant($"Nothing was learned: each of the {_last.Skipped} updates had a gradient that is not finite, last in '{_last.FirstBad}'. Train for more epochs, so that the loss scale ({_last.Scale} now) can fall, or start it lower with LossScale.Dynamic(initial: ...)."));
        if (!double.IsFinite(_totals.Loss))
            throw new InvalidOperationException(FormattableString.Invariant($"The training diverged: the loss of the last epoch is {_totals.Loss}. Lower the learning rate, set GradientClipNorm, or scale the features (Transforms.NormalizeMeanVariance)."));
    }

    private InvalidOperationException DataChanged(int epoch) =>
        new($"The data changed during the training: epoch {epoch} had another number of rows than the {_data.Training.Rows} of the first pass; put mlContext.Data.Cache or a file before the trainer.");

    private void Tell(int epoch, long batch, EpochTotals? validation)
    {
        if (_options.Progress is not { } progress) return;
        var elapsed = _clock.Elapsed;
        double done = (epoch - 1) + (double)batch / Batches, here = done - _resumed;
        progress.Report(new TrainingProgress
        {
            Epoch = epoch,
            Epochs = _options.Epochs,
            Batch = batch,
            Batches = Batches,
            Loss = _totals.Loss,
            Metric = _totals.Metric,
            ValidationLoss = validation?.Loss,
            ValidationMetric = validation?.Metric,
            LearningRate = LearningRate,
            LossScale = _last.Scale,
            AppliedUpdates = _last.Applied,
            SkippedUpdates = _last.Skipped,
            SamplesPerSecond = _trainedRows / Math.Max(elapsed.TotalSeconds, 1e-9),
            Elapsed = elapsed,
            Remaining = elapsed * ((_options.Epochs - done) / here),
            IsEndOfEpoch = _epochs.Count == epoch,
        });
    }

    private PlanOptions NewPlanOptions(Loss loss, int batch)
    {
        long batches = (_data.Training.Rows + batch - 1) / batch, passes = batches * _options.Epochs, updates = (passes + _options.GradientAccumulationSteps - 1) / _options.GradientAccumulationSteps;
        if (updates > Array.MaxLength / Optimizer.CoefficientCount)
            throw BadArgument.Of(nameof(_options.Epochs), FormattableString.Invariant($"Epochs: expected at most {Array.MaxLength / Optimizer.CoefficientCount} updates in a training, got {updates}; use fewer epochs or a larger BatchSize."));
        return new PlanOptions(batch, _options.Precision, loss, _options.Optimizer ?? MixedPrecisionTrainer.DefaultOptimizer())
        {
            LossScale = _options.LossScale ?? LossScale.Dynamic(),
            AccumulationSteps = _options.GradientAccumulationSteps,
            ClipNorm = _options.GradientClipNorm,
            TotalUpdates = (int)updates,
            PassesPerEpoch = batches,
            Schedule = _options.Schedule ?? Schedule.Constant(),
            Seed = _seed,
            Begins = _begins,
        };
    }

    /// <summary>Sums over passes.</summary>
    private readonly record struct EpochTotals(double LossSum, double WeightSum, double MetricSum)
    {
        public double Loss => LossSum / WeightSum;
        public double Metric => MetricSum / WeightSum;

        public EpochTotals Plus(StepReport report) => new(LossSum + report.LossSum, WeightSum + report.WeightSum, MetricSum + report.MetricSum);
    }
}
