namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Decides over a step, on one thread: overflow or not; the L2 norm of the unscaled gradient; what the update multiplies
/// gradients with, min(1, clip / (norm + 1e-6)) / scale as PyTorch's clip_grad_norm_ after unscaling. Runs before the scale
/// changes: unscaling with the next step's scale would halve the gradients of every step at which it grows.
/// </summary>
internal sealed partial class StepVerdict(GradientScan scan, StepControl control, PlanOptions options) : Kernel
{
    public override string Name => "StepVerdict";
    public override IReadOnlyList<Tensor> Reads { get; } = [scan.SquareSums, scan.FirstBad, control.Scales];
    public override IReadOnlyList<Tensor> Writes { get; } = [control.Counters, control.Scales];

    private float ClipNorm => options.ClipNorm;
}
