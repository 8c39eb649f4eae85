namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// (x - y)^2, the mean over the values of a label and the rows, as PyTorch's MSELoss. The gradients of a label far from 0 are large: scale
/// it to a magnitude around 1.
/// </summary>
public sealed record MeanSquaredError : Loss
{
    internal override ScoringTask Task => ScoringTask.Regression;

    internal override LossTargets NewTargets(int batch, Shape output) => LossTargets.Values(batch, output.Size);

    internal override Kernel Rows(Tensor output, LossTargets targets, LossRows rows, StepControl control) =>
        new ElementLossRows<MeanSquaredErrorFunction>(nameof(MeanSquaredError), output, targets, rows, control, 0f);

    internal override Kernel Gradient(Tensor output, LossTargets targets, LossRows rows, Tensor gradient, StepControl control) =>
        new ElementLossGradient<MeanSquaredErrorFunction>(nameof(MeanSquaredError), output, targets, rows, gradient, control, 0f);

    internal override void Validate() { } // nothing to choose
}

internal readonly struct MeanSquaredErrorFunction : IElementLoss
{
    public static float Loss(float x, float y, float p) => (x - y) * (x - y);

    public static float Gradient(float x, float y, float p) => 2f * (x - y);

    public static float Metric(float x, float y) => x < y ? y - x : x - y;
}
