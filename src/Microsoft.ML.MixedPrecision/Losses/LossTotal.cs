namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The sums of a batch into the log, and what its gradients are scaled with: scale / (sum of weights * micro-steps of an
/// update), 0 where no row weighs anything.
/// </summary>
internal sealed partial class LossTotal(LossRows rows, StepControl control, int microSteps, bool training) : Kernel
{
    public override string Name => "LossTotal";
    public override IReadOnlyList<Tensor> Reads { get; } = [rows.Losses, rows.Weights, rows.Metrics, control.Scales, control.Counters];
    public override IReadOnlyList<Tensor> Writes { get; } = [control.Log, control.Scales, control.Counters];
}
