using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Trains a <see cref="Network"/> by the recipe of <em>Mixed Precision Training</em> (ICLR 2018): weights, activations and
/// gradients in half precision, an FP32 master copy of the weights, a scaled loss. The task is the loss's, or the label
/// column's where no loss is named. The output columns are those of ML.NET's own trainers. Reusable and thread-safe: it keeps nothing of a Fit.
/// </summary>
/// <remarks>
/// <c>mlContext.MulticlassClassification.Trainers.MixedPrecision(network)</c> and its siblings for binary classification and regression make one too.
/// </remarks>
public sealed partial class MixedPrecisionTrainer : IEstimator<MixedPrecisionTransformer>
{
    private const string Name = "MixedPrecisionTrainer";

    private readonly IHostEnvironment _environment;
    private readonly Options _options;
    private readonly ScoringTask? _asked;
    private readonly uint? _askedSeed;
    private readonly uint _seed;

    /// <summary>A trainer whose task is that of the loss, or of the label column.</summary>
    /// <param name="mlContext">Gives seed, device and log.</param>
    /// <param name="options">Copied.</param>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is outside its range; the message names it.</exception>
    public MixedPrecisionTrainer(MLContext mlContext, Options options) : this((IHostEnvironment)mlContext, options, null) { }

    internal MixedPrecisionTrainer(IHostEnvironment environment, Options options, ScoringTask? task)
    {
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(options);
        _environment = environment;
        _options = options.Copy();
        _options.Validate();
        _asked = TrainingTask.Asked(task, _options.Loss);
        _askedSeed = unchecked((uint?)(_options.Seed ?? Catalogs.Seed(environment)));
        _seed = _askedSeed ?? (uint)Random.Shared.Next();
    }

    /// <summary>The columns that the transformer will give, as a stock trainer of the same task answers it.</summary>
    /// <param name="inputSchema">Has the feature and label columns.</param>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of another type; the message names it.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        return StockSchema.Of(inputSchema, _options, _asked);
    }

    /// <summary>Trains.</summary>
    /// <param name="input">Rows with the feature and label columns. They are read once to check and count them, and again in each epoch if they do not fit in memory.</param>
    /// <exception cref="ArgumentOutOfRangeException">A column or the network's end does not fit; the message names it.</exception>
    /// <exception cref="InvalidOperationException">The data have no rows, one class only, or a row that cannot be trained on; the training diverged; or <see cref="Options.CheckpointPath"/> names a file of another training.</exception>
    /// <exception cref="DeviceLostException">The GPU was lost in the middle of the training; the exception has the model of an earlier epoch, if one was kept.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled before the first update.</exception>
    public MixedPrecisionTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        _options.CancellationToken.ThrowIfCancellationRequested();
        var checkpoint = _options.CheckpointPath is { } path ? new CheckpointFile(path) : null;
        uint seed = _askedSeed ?? checkpoint?.Seed ?? _seed;
        var host = _environment.Register(Name);
        using var channel = host.Start("Fit");

        var columns = TrainingColumns.Resolve(input.Schema, _options, _asked);
        _options.EarlyStopping?.Validate(columns.Task);
        var network = Head.Fit(_options.Network!, columns.Label, columns.Task, columns.Outputs);
        var loss = _options.Loss ?? TrainingTask.DefaultLoss(columns.Task);
        var device = DeviceSelector.Select(_options.Device, Catalogs.GpuDeviceId(_environment), Catalogs.FallbackToCpu(_environment),
            line => channel.Warning(MessageSensitivity.None, line), _options.Threads);
        // On a thread of its own: a source that blocks must not keep a cancelled Fit.
        var data = Task.Factory.StartNew(() => TrainingData.Load(input, columns, _options, loss, _asked, seed), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)
            .WaitAsync(_options.CancellationToken).GetAwaiter().GetResult();
        var sample = data.Training.Sample(ExportGate.SampleRows);

        MixedPrecisionTransformer Model(TrainedNetwork trained, PlanOptions plan, DeviceChoice checks, TrainingReport report) =>
            new(host, new ExportGate(trained, plan, checks, sample, LabelNames.Of(input.Schema[columns.Label])), report, input.Schema, columns);

        TrainedNetwork trained;
        TrainingReport report;
        PlanOptions? plan = null;
        try
        {
            var log = new TrainingLog(channel);
            var frozen = FrozenRows.Of(data, network, columns, _options, device, log);
            using var run = new TrainingRun(_options, network, loss, frozen?.Data ?? data, device, seed, log, checkpoint, frozen?.Layer);
            plan = run.Plan.Options;
            (trained, report) = run.Run();
        } // frees the device before the export is checked there
        catch (TrainingLostException e)
        {
            // The export of what was kept is checked on the CPU: the device is gone.
            var checks = DeviceSelector.Select("cpu", null, fallbackToCpu: false, line => channel.Warning(MessageSensitivity.None, line), _options.Threads);
            try
            {
                throw new DeviceLostException(e.Message, e.Kept is null ? null : Model(e.Kept, plan!, checks, e.Report), e.InnerException!);
            }
            catch (InvalidOperationException bad) when (bad is not DeviceLostException)
            {
                throw new DeviceLostException($"{e.Message} That model cannot be used: {bad.Message}", null, e.InnerException!);
            }
        }
        var model = Model(trained, plan, device, report);
        if (checkpoint is not null && report.StopReason is not StopReason.Cancelled) Delete(checkpoint, channel); // not before the model has passed its check
        return model;
    }

    /// <summary>A file that stays is no reason to lose the model.</summary>
    private static void Delete(CheckpointFile checkpoint, IChannel channel)
    {
        try
        {
            checkpoint.Delete();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            channel.Warning(MessageSensitivity.None, $"The checkpoint {checkpoint} could not be deleted ({e.Message.TrimEnd('.')}): delete it, or the next training with these options goes on from it.");
        }
    }

    internal static Optimizer DefaultOptimizer(float learningRate = 1e-3f) => new Adam(learningRate);
}
