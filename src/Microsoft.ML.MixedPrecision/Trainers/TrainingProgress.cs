namespace Microsoft.ML.MixedPrecision;

/// <summary>How far a training is: reported about ten times a second and at the end of each epoch, on the thread that runs Fit.</summary>
public sealed record TrainingProgress
{
    /// <summary>The epoch, from 1.</summary>
    public required int Epoch { get; init; }

    /// <summary>Epochs that were asked for.</summary>
    public required int Epochs { get; init; }

    /// <summary>Batches of the epoch that are done.</summary>
    public required long Batch { get; init; }

    /// <summary>Batches of an epoch.</summary>
    public required long Batches { get; init; }

    /// <summary>The weighted mean of the loss over the epoch so far, as the weights were when each batch was seen.</summary>
    public required double Loss { get; init; }

    /// <summary>Over the epoch so far: the share of rows whose class was predicted (0 to 1), or the mean absolute error of a regression.</summary>
    public required double Metric { get; init; }

    /// <summary>The loss over the validation rows; null before the end of the epoch, or without validation.</summary>
    public double? ValidationLoss { get; init; }

    /// <summary>The metric over the validation rows; null before the end of the epoch, or without validation.</summary>
    public double? ValidationMetric { get; init; }

    /// <summary>The learning rate of the next update.</summary>
    public required double LearningRate { get; init; }

    /// <summary>The loss scale; 1 in single precision.</summary>
    public required float LossScale { get; init; }

    /// <summary>Updates since the start of the training.</summary>
    public required int AppliedUpdates { get; init; }

    /// <summary>Updates left out since the start of the training, because a gradient was not finite.</summary>
    public required int SkippedUpdates { get; init; }

    /// <summary>Training rows a second, over the training so far.</summary>
    public required double SamplesPerSecond { get; init; }

    /// <summary>Since the first epoch began.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>The expected time to the end of the last epoch.</summary>
    public required TimeSpan Remaining { get; init; }

    /// <summary>True for the last report of an epoch, which has the validation.</summary>
    public bool IsEndOfEpoch { get; init; }
}
