namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Cross entropy between the softmax of the network's output and a class: -sum over c of q[c] log softmax(x)[c] with
/// q = (1 - s) [c = label] + s / C and label smoothing s. The softmax is part of the loss: the network ends in the scores
/// before it.
/// </summary>
/// <param name="LabelSmoothing">s, from 0 to below 1; 0 by default.</param>
public sealed record SoftmaxCrossEntropy(float LabelSmoothing = 0f) : Loss
{
    /// <summary>
    /// A factor for the weight of each row of a class, in the order of the label's keys; null for 1 each. The mean divides by
    /// the sum of the weights, as PyTorch's CrossEntropyLoss does; with label smoothing the whole row is weighted, where PyTorch weights the smoothed part class by class.
    /// </summary>
    public IReadOnlyList<float>? ClassWeights { get; init; }

    internal override ScoringTask Task => ScoringTask.Multiclass;

    internal override LossTargets NewTargets(int batch, Shape output) => LossTargets.Classes(batch);

    internal override Kernel Rows(Tensor output, LossTargets targets, LossRows rows, StepControl control) =>
        new SoftmaxCrossEntropyRows(output, targets, rows, control, LabelSmoothing);

    internal override Kernel Gradient(Tensor output, LossTargets targets, LossRows rows, Tensor gradient, StepControl control) =>
        new SoftmaxCrossEntropyGradient(output, targets, rows, gradient, control, LabelSmoothing);

    internal override void Validate()
    {
        Expect(LabelSmoothing is >= 0f and < 1f, nameof(LabelSmoothing), LabelSmoothing, "a value from 0 to below 1");
        foreach (float weight in ClassWeights ?? []) Expect(weight >= 0f && float.IsFinite(weight), nameof(ClassWeights), weight, "finite weights of at least 0");
    }
}

/// <summary>
/// x[n, c] -> loss[n] = w[n] (log sum exp x[n] - sum over c of q[c] x[n, c]), FP32, the maximum subtracted first.
/// The metric is 1 where the largest score is the label's; among equal scores the first counts. A label outside 0 to C - 1 has a loss of NaN. A row that weighs 0 gives 0, whatever it scores.
/// </summary>
internal sealed partial class SoftmaxCrossEntropyRows(Tensor x, LossTargets targets, LossRows rows, StepControl control, float smoothing) : Kernel
{
    public override string Name => "SoftmaxCrossEntropy.Rows";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, targets.Labels, targets.Weights, control.Counters];
    public override IReadOnlyList<Tensor> Writes { get; } = [rows.Losses, rows.Weights, rows.Metrics];
}

/// <summary>dx[n, c] = (softmax(x[n])[c] - q[c]) w[n] seed; NaN where the label is outside 0 to C - 1, so that the step is skipped.</summary>
internal sealed partial class SoftmaxCrossEntropyGradient(Tensor x, LossTargets targets, LossRows rows, Tensor dx, StepControl control, float smoothing) : Kernel
{
    public override string Name => "SoftmaxCrossEntropy.Gradient";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, targets.Labels, rows.Weights, control.Scales];
    public override IReadOnlyList<Tensor> Writes { get; } = [dx];
}
