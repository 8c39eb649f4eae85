using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Cross entropy between the sigmoid of the network's one output and a Boolean: p y log(1 + e^-x) + (1 - y) log(1 + e^x), as PyTorch's
/// BCEWithLogitsLoss with pos_weight p. The sigmoid is part of the loss: the network ends in the score before it.
/// </summary>
/// <param name="PositiveWeight">p, the factor of the loss of true rows; 1 by default, above 0 and finite. The mean does not divide by it.</param>
public sealed record SigmoidCrossEntropy(float PositiveWeight = 1f) : Loss
{
    internal override ScoringTask Task => ScoringTask.Binary;

    internal override LossTargets NewTargets(int batch, Shape output) => LossTargets.Values(batch, output.Size);

    internal override Kernel Rows(Tensor output, LossTargets targets, LossRows rows, StepControl control) =>
        new ElementLossRows<SigmoidCrossEntropyFunction>(nameof(SigmoidCrossEntropy), output, targets, rows, control, PositiveWeight);

    internal override Kernel Gradient(Tensor output, LossTargets targets, LossRows rows, Tensor gradient, StepControl control) =>
        new ElementLossGradient<SigmoidCrossEntropyFunction>(nameof(SigmoidCrossEntropy), output, targets, rows, gradient, control, PositiveWeight);

    internal override void Validate() => Expect(PositiveWeight > 0f && float.IsFinite(PositiveWeight), nameof(PositiveWeight), PositiveWeight, "a finite weight above 0");
}

internal readonly struct SigmoidCrossEntropyFunction : IElementLoss
{
    // With z the score for the wrong answer, the loss is log(1 + e^z) = max(z, 0) + log(1 + e^-|z|), which does not overflow, and its
    // derivative sigmoid(z). As 1 - sigmoid(x) it would be 0 for every true row above a score of 17.
    public static float Loss(float x, float y, float p)
    {
        float z = y > 0.5f ? -x : x, loss = (z < 0f ? 0f : z) + XMath.Log(1f + XMath.Exp(z < 0f ? z : -z));
        return y > 0.5f ? p * loss : loss;
    }

    public static float Gradient(float x, float y, float p)
    {
        float z = y > 0.5f ? -x : x, sigmoid = 1f / (1f + XMath.Exp(-z));
        return y > 0.5f ? -p * sigmoid : sigmoid;
    }

    public static float Metric(float x, float y) => (x > 0f) == (y > 0.5f) ? 1f : 0f;
}
