namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The end of a step, on one thread: counts it as applied or skipped, writes that into the log, and moves the loss scale. After
/// <see cref="LossScale.GrowthInterval"/> clean steps the scale is multiplied by the growth factor, unless that is not
/// finite; on overflow by the backoff factor, down to the floor. A skipped step does not advance schedules.
/// </summary>
internal sealed partial class StepAdvance(StepControl control, PlanOptions options) : Kernel
{
    private readonly LossScale _rule = options.Precision == Precision.Single ? LossScale.None : options.LossScale;

    public override string Name => "StepAdvance";
    public override IReadOnlyList<Tensor> Reads { get; } = [control.Counters, control.Scales];
    public override IReadOnlyList<Tensor> Writes { get; } = [control.Counters, control.Scales, control.Log];
}
