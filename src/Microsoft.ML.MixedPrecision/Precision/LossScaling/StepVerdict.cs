namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Decides over a step: overflow or not; the L2 norm of the unscaled gradient; what the update multiplies
/// gradients with, min(1, clip / (norm + 1e-6)) / scale as PyTorch's clip_grad_norm_ after unscaling. Runs before the scale
/// changes: unscaling with the next step's scale would halve the gradients of every step at which it grows. Each pass has divided by the
/// micro-steps of a whole group; where fewer were accumulated (the last group of a training), the mean is over those.
/// </summary>
internal sealed partial class StepVerdict(GradientScan scan, StepControl control, PlanOptions options) : Kernel
{
    public override string Name => "StepVerdict";
    public override IReadOnlyList<Tensor> Reads { get; } = [scan.SquareSums, scan.FirstBad, control.Counters, control.Scales];
    public override IReadOnlyList<Tensor> Writes { get; } = [control.Counters, control.Scales];

    private float ClipNorm => options.ClipNorm;

    private int MicroSteps => options.AccumulationSteps;

    /// <summary>What makes a sum over some passes, each divided by <paramref name="microSteps"/>, their mean. Without accumulation the gradients are those of one pass.</summary>
    private static float Missing(int passes, int microSteps) => microSteps > 1 && passes > 0 ? (float)microSteps / passes : 1f;
}
