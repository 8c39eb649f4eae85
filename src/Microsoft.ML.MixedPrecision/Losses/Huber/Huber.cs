namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// d^2 / 2 for an error d = |x - y| of at most delta, delta (d - delta / 2) beyond: squared near the label, and no more than linear where
/// a label is an outlier. The mean over the values of a label and the rows, as PyTorch's HuberLoss.
/// </summary>
/// <param name="Delta">Where the loss becomes linear, in the label's unit; 1 by default, above 0 and finite.</param>
public sealed record Huber(float Delta = 1f) : Loss
{
    internal override ScoringTask Task => ScoringTask.Regression;

    internal override LossTargets NewTargets(int batch, Shape output) => LossTargets.Values(batch, output.Size);

    internal override Kernel Rows(Tensor output, LossTargets targets, LossRows rows, StepControl control) =>
        new ElementLossRows<HuberFunction>(nameof(Huber), output, targets, rows, control, Delta);

    internal override Kernel Gradient(Tensor output, LossTargets targets, LossRows rows, Tensor gradient, StepControl control) =>
        new ElementLossGradient<HuberFunction>(nameof(Huber), output, targets, rows, gradient, control, Delta);

    internal override void Validate() => Expect(Delta > 0f && float.IsFinite(Delta), nameof(Delta), Delta, "a finite value above 0");
}

internal readonly struct HuberFunction : IElementLoss
{
    public static float Loss(float x, float y, float p)
    {
        float error = x < y ? y - x : x - y;
        return error <= p ? 0.5f * error * error : p * (error - 0.5f * p);
    }

    // As comparisons that NaN fails: it comes out as NaN, and the step is skipped.
    public static float Gradient(float x, float y, float p)
    {
        float error = x - y;
        return error > p ? p : error < -p ? -p : error;
    }

    public static float Metric(float x, float y) => x < y ? y - x : x - y;
}
