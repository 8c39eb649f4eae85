namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The GPU was lost in the middle of a training: it was reset or removed, or it stopped answering. What was learned by the end of an
/// earlier epoch is in <see cref="Model"/>.
/// </summary>
public sealed class DeviceLostException : InvalidOperationException
{
    internal DeviceLostException(string message, MixedPrecisionTransformer? model, Exception cause) : base(message, cause) => Model = model;

    /// <summary>
    /// The model of the best epoch by the validation, or of the last finished epoch without validation, as far as it had been copied to the
    /// host: such copies take at most a twentieth of the training's time. Null where there is none. The caller disposes it.
    /// </summary>
    public MixedPrecisionTransformer? Model { get; }
}

/// <summary>A training that lost its device, before its remains are a model.</summary>
internal sealed class TrainingLostException(string message, TrainedNetwork? kept, TrainingReport report, Exception cause) : Exception(message, cause)
{
    public TrainedNetwork? Kept => kept;

    public TrainingReport Report => report;
}
