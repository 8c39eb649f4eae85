using Microsoft.ML.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>What a training says in <see cref="MLContext.Log"/>.</summary>
internal sealed class TrainingLog(IChannel channel)
{
    public void Start(string device, string explanation, ExecutionPlan plan, TrainingData data, MixedPrecisionTrainer.Options options)
    {
        Info($"{explanation} Device: {device}.");
        if (plan.Options.Precision == Precision.Single)
        {
            Info($"Memory: {plan.TotalBytes:N0} bytes in single precision.");
        }
        else
        {
            long single = PlanBuilder.Build(plan.Network, plan.Options with { Precision = Precision.Single }).TotalBytes;
            Info($"Memory: {plan.TotalBytes:N0} bytes in mixed precision, {single:N0} in single ({(double)plan.TotalBytes / single:P0}).");
        }
        Info($"Data: {data.Training.Rows:N0} rows to train on, {data.Validation?.Rows ?? 0:N0} to validate on; {plan.Network.ParameterCount:N0} trainable values.");
        if (data.Training.IsCached) return;
        if (options.Shuffle) Info($"The training rows do not fit in {options.CacheBytes:N0} bytes of memory: they are read again in each epoch and shuffled within a window of {data.Training.Window:N0} rows.");
        else Info($"The training rows do not fit in {options.CacheBytes:N0} bytes of memory: they are read again in each epoch.");
    }

    public void Frozen(string layer, RowStore training, RowStore? validation) =>
        Info($"What is frozen was computed once for all rows, up to '{layer}' ({(long)training.Count * training.RowBytes + (long)(validation?.Count ?? 0) * (validation?.RowBytes ?? 0):N0} bytes): each epoch trains on its values.");

    public void Resident(string which, RowStore rows) => Info($"The {which} rows are on the device ({(long)rows.Count * rows.RowBytes:N0} bytes): each batch is gathered there.");

    public void Resumed(CheckpointFile file, int epochs, int all) => Info($"Going on behind epoch {epochs} of {all}, from the checkpoint {file}.");

    public void NoCheckpoint(CheckpointFile file, int epoch, Exception cause) => channel.Warning(MessageSensitivity.None,
        FormattableString.Invariant($"The checkpoint {file} could not be written after epoch {epoch} ({cause.Message.TrimEnd('.')}). The training goes on; what an earlier epoch wrote stays."));

    public void Step(string note) => Info($"{note}");

    /// <summary>Says what happened to the loss scale between two reports.</summary>
    public void Scale(StepReport before, StepReport now)
    {
        if (now.Skipped > before.Skipped)
            Info($"Loss scale {before.Scale} -> {now.Scale}: {now.Skipped - before.Skipped} of {now.Skipped - before.Skipped + now.Applied - before.Applied} updates skipped, the last for the gradient of '{now.FirstBad}'.");
        else if (now.Scale != before.Scale)
            Info($"Loss scale {before.Scale} -> {now.Scale}.");
    }

    public void Epoch(EpochReport e, int epochs)
    {
        string validation = e.ValidationLoss is { } loss ? FormattableString.Invariant($", validation loss {loss:G6}, metric {e.ValidationMetric:G6}") : "";
        Info($"Epoch {e.Epoch} of {epochs}: loss {e.Loss:G6}, metric {e.Metric:G6}{validation}; {e.AppliedUpdates} updates, {e.SkippedUpdates} skipped, {e.Duration.TotalSeconds:F1} s.");
    }

    public void Profile(TrainingProfile profile) => Info($"{profile}");

    public void NoProfile() => Info($"No profile: the training ended before an update could be timed.");

    /// <param name="resumable">Which epoch another Fit would go on behind, and from where; empty where none can.</param>
    public void End(TrainingReport report, bool restored, int epochs, string resumable)
    {
        string model = restored ? $"the model of epoch {report.ModelEpoch}, the best of the validation" : "the last model";
        if (report.StopReason == StopReason.Cancelled)
            channel.Warning(MessageSensitivity.None, FormattableString.Invariant($"The training was cancelled in epoch {report.Epochs.Count + 1} of {epochs}: Fit returns {model}.{resumable}"));
        else if (report.StopReason == StopReason.EarlyStopping)
            Info($"Stopped early after epoch {report.Epochs.Count} of {epochs}: Fit returns {model}.");
        Info($"Done: {report.Epochs.Count} epoch{(report.Epochs.Count == 1 ? "" : "s")}, {report.AppliedUpdates} updates applied, {report.SkippedUpdates} skipped, {report.Duration.TotalSeconds:F1} s on {report.Device}.");
    }

    // Invariant: the log of a machine reads like that of another.
    private void Info(FormattableString message) => channel.Info(MessageSensitivity.None, FormattableString.Invariant(message));
}
