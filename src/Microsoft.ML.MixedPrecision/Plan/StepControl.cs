namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// What a step decides for itself, on the device: whether its gradients are finite, the loss scale, how many steps were
/// applied. The host writes <see cref="Rows"/> before a step and reads the rest only when it reports.
/// </summary>
internal sealed class StepControl
{
    /// <summary>Elements of <see cref="Counters"/>. The names below are indices into it.</summary>
    public const int
        Rows = 0,           // valid rows of the batch; those behind it are padding
        MicroSteps = 1,     // training passes begun so far, this one included: the time of random streams
        Applied = 2,        // updates done: the time of schedules and of Adam's bias correction
        Skipped = 3,        // updates left out because a gradient was not finite
        CleanSteps = 4,     // applied since the scale last changed
        Overflow = 5,       // 1 while this step's gradients are not finite
        FirstBad = 6,       // index into the flat gradients of the first that was not finite, in the last step that overflowed; -1 before
        FloorOverflows = 7, // overflows with the scale at its floor: the training cannot go on
        LogSlot = 8,        // the next entry of the log
        Accumulated = 9,    // training passes begun since the last update: those whose gradients the next one applies
        CounterCount = 16;

    /// <summary>Elements of <see cref="Scales"/>.</summary>
    public const int
        Scale = 0,              // the loss scale
        LossSeed = 1,           // what a row's loss gradient is multiplied by: scale / (sum of row weights * micro-steps per update)
        GradientMultiplier = 2, // what the update multiplies gradients by: clip / scale
        GradientNorm = 3,       // L2 norm of the unscaled gradient before clipping
        ScaleCount = 16;

    /// <summary>Elements of one entry of <see cref="Log"/>.</summary>
    public const int
        LossSum = 0,   // sum over rows of weight * loss
        WeightSum = 1, // sum over rows of weight
        MetricSum = 2, // sum over rows of weight * (right class: 1, or absolute error)
        LogKind = 3,   // what the entry is of: one of the four below; those of an update have no sums
        LogWidth = 4;

    /// <summary>What an entry of <see cref="Log"/> is of. An update stands behind the passes that it belongs to.</summary>
    public const float TrainedPass = 0f, EvaluatedPass = 1f, AppliedUpdate = 2f, SkippedUpdate = 3f;

    /// <summary>Entries between two reads by the host.</summary>
    public const int LogCapacity = 4096;

    /// <summary>The entry after one; after the last the first.</summary>
    public static int After(int slot) => slot + 1 < LogCapacity ? slot + 1 : 0;

    public Tensor Counters { get; } = new("Counters", ElementType.Int32, Region.Parameters, CounterCount);
    public Tensor Scales { get; } = new("Scales", ElementType.Single, Region.Parameters, ScaleCount);
    public Tensor Log { get; } = new("Log", ElementType.Single, Region.Parameters, LogCapacity, LogWidth);
}
