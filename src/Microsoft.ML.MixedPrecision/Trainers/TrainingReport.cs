namespace Microsoft.ML.MixedPrecision;

/// <summary>Why a training ended.</summary>
public enum StopReason
{
    /// <summary>All epochs are done.</summary>
    Completed,

    /// <summary>The validation no longer improved.</summary>
    EarlyStopping,

    /// <summary>The token was cancelled; the model is the best until then.</summary>
    Cancelled,

    /// <summary>The GPU was lost; the model is the one that had been kept. See <see cref="DeviceLostException"/>.</summary>
    DeviceLost,
}

/// <summary>What happened in one epoch.</summary>
/// <param name="Epoch">From 1.</param>
/// <param name="Loss">The weighted mean over the training rows, as the weights were when each batch was seen; without batches whose loss was not finite and whose update was skipped.</param>
/// <param name="Metric">The share of rows whose class was predicted (0 to 1), or the mean absolute error of a regression.</param>
/// <param name="ValidationLoss">Over the validation rows at the end of the epoch; null without validation.</param>
/// <param name="ValidationMetric">Over the validation rows at the end of the epoch; null without validation.</param>
/// <param name="LearningRate">Of the next update.</param>
/// <param name="LossScale">At the end of the epoch.</param>
/// <param name="AppliedUpdates">In this epoch.</param>
/// <param name="SkippedUpdates">Left out in this epoch, because a gradient was not finite.</param>
/// <param name="Duration">With validation.</param>
public sealed record EpochReport(int Epoch, double Loss, double Metric, double? ValidationLoss, double? ValidationMetric,
    double LearningRate, float LossScale, int AppliedUpdates, int SkippedUpdates, TimeSpan Duration);

/// <summary>What a training did.</summary>
public sealed class TrainingReport
{
    private readonly Lazy<string> _plan;

    internal TrainingReport(ExecutionPlan plan)
    {
        _plan = new Lazy<string>(() => PlanPrinter.Print(plan));
        PlanBytes = plan.TotalBytes;
        PlanBytesInSingle = plan.Options.Precision == Precision.Single ? plan.TotalBytes
            : PlanBuilder.Build(plan.Network, plan.Options with { Precision = Precision.Single }).TotalBytes;
    }

    /// <summary>The epochs, in order; after a cancellation or the loss of the device without the one that was not finished.</summary>
    public IReadOnlyList<EpochReport> Epochs { get; internal init; } = [];

    /// <summary>How many of the epochs an earlier Fit had trained, whose <see cref="MixedPrecisionTrainer.Options.CheckpointPath"/> this one found.</summary>
    public int ResumedEpochs { get; internal init; }

    /// <summary>Why it ended.</summary>
    public StopReason StopReason { get; internal init; }

    /// <summary>The epoch whose model this is, from 1; 0 where the training was cancelled in the first one.</summary>
    public int ModelEpoch { get; internal init; }

    /// <summary>Updates that were applied.</summary>
    public int AppliedUpdates { get; internal init; }

    /// <summary>Updates that were left out, because a gradient was not finite.</summary>
    public int SkippedUpdates { get; internal init; }

    /// <summary>Rows that were trained on in each epoch.</summary>
    public long Rows { get; internal init; }

    /// <summary>Rows that were validated on; 0 without validation.</summary>
    public long ValidationRows { get; internal init; }

    /// <summary>The device, in words.</summary>
    public string Device { get; internal init; } = "";

    /// <summary>Why it was that device.</summary>
    public string DeviceReason { get; internal init; } = "";

    /// <summary>The seed of initial weights, shuffles, split and dropout: with it, a run on the same device repeats bit for bit.</summary>
    public int Seed { get; internal init; }

    /// <summary>Bytes on the device: weights, state, activations, gradients, staging.</summary>
    public long PlanBytes { get; }

    /// <summary>The same, had everything been stored in FP32.</summary>
    public long PlanBytesInSingle { get; }

    /// <summary>Every step of the plan with its tensors, their storage and their place, and the bytes of each arena.</summary>
    public string Plan => _plan.Value;

    /// <summary>Where the time of a step goes; null without <see cref="MixedPrecisionTrainer.Options.Profile"/>, and where the training was cancelled before it could be timed.</summary>
    public TrainingProfile? Profile { get; internal init; }

    /// <summary>From the first epoch to the end of the last, without the time between a Fit and the one that resumed it.</summary>
    public TimeSpan Duration { get; internal init; }
}
