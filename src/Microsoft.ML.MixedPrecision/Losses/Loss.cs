namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// What training minimizes: the weighted mean over the rows of a batch, sum(w l) / sum(w), where w is the example's weight
/// (1 without a weight column). Computed in FP32 from the network's output, whatever the precision.
/// </summary>
public abstract record Loss
{
    private protected Loss() { }

    /// <summary>What a network is trained for with it; <see cref="ScoringTask.Regression"/> stands for vectors too.</summary>
    internal abstract ScoringTask Task { get; }

    /// <summary>The tensors that the host fills with the labels of a batch.</summary>
    internal abstract LossTargets NewTargets(int batch, Shape output);

    /// <summary>Loss, weight and metric of every row; rows of padding weigh 0, and rows that weigh 0 give 0.</summary>
    internal abstract Kernel Rows(Tensor output, LossTargets targets, LossRows rows, StepControl control);

    /// <summary>The gradient with respect to the network's output: d(row loss) * row weight * <see cref="StepControl.LossSeed"/>.</summary>
    internal abstract Kernel Gradient(Tensor output, LossTargets targets, LossRows rows, Tensor gradient, StepControl control);

    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range; the message names it.</exception>
    internal abstract void Validate();

    private protected static void Expect(bool valid, string name, float value, string expected)
    {
        if (!valid) throw new ArgumentOutOfRangeException(name, value, FormattableString.Invariant($"Loss.{name}: expected {expected}, got {value}."));
    }
}

/// <summary>Where the host puts what a loss compares the output with.</summary>
/// <param name="Labels">Int32 [batch] class numbers from 0, or FP32 [batch, outputs] values.</param>
/// <param name="Weights">FP32 [batch] example weights.</param>
internal sealed record LossTargets(Tensor Labels, Tensor Weights)
{
    public IReadOnlyList<Tensor> All => [Labels, Weights];

    public static LossTargets Classes(int batch) => new(
        new Tensor("Labels", ElementType.Int32, Region.Staging, batch), NewWeights(batch));

    public static LossTargets Values(int batch, int outputs) => new(
        new Tensor("Labels", ElementType.Single, Region.Staging, batch, outputs), NewWeights(batch));

    private static Tensor NewWeights(int batch) => new("ExampleWeights", ElementType.Single, Region.Staging, batch);
}

/// <summary>What the rows of a batch contribute, FP32 [batch] each.</summary>
internal sealed class LossRows(int batch)
{
    /// <summary>weight * loss.</summary>
    public Tensor Losses { get; } = new("RowLosses", ElementType.Single, Region.Activations, batch);

    /// <summary>The example's weight, 0 for padding.</summary>
    public Tensor Weights { get; } = new("RowWeights", ElementType.Single, Region.Activations, batch);

    /// <summary>weight * metric: 1 for the right class, the mean absolute error for values.</summary>
    public Tensor Metrics { get; } = new("RowMetrics", ElementType.Single, Region.Activations, batch);
}
