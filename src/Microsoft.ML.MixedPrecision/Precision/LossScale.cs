namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// What the loss is multiplied with before the backward pass, so that small gradients do not vanish in half precision
/// (below 2^-24), and divided out again, in FP32, before they are clipped and applied. It changes no hyper-parameter.
/// </summary>
public sealed record LossScale
{
    private LossScale(float initial, float growthFactor, float backoffFactor, int growthInterval, float floor) =>
        (Initial, GrowthFactor, BackoffFactor, GrowthInterval, Floor) = (initial, growthFactor, backoffFactor, growthInterval, floor);

    /// <summary>The scale of the first step.</summary>
    public float Initial { get; }

    /// <summary>What the scale is multiplied with after <see cref="GrowthInterval"/> steps without overflow.</summary>
    public float GrowthFactor { get; }

    /// <summary>What it is multiplied with after a step whose gradients were not finite; that step is skipped.</summary>
    public float BackoffFactor { get; }

    /// <summary>Steps without overflow before the scale grows.</summary>
    public int GrowthInterval { get; }

    /// <summary>The scale never falls below. Overflow at the floor ends the training with an error that names the layer.</summary>
    public float Floor { get; }

    /// <summary>No scaling: the loss is multiplied by 1. Always so in single precision.</summary>
    public static LossScale None { get; } = Static(1f);

    /// <summary>A fixed scale. The paper's networks took 8 to 32,768.</summary>
    /// <param name="scale">Above 0 and finite; a power of two rounds nothing.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="scale"/> is not positive and finite.</exception>
    public static LossScale Static(float scale)
    {
        Positive(scale, nameof(scale));
        return new LossScale(scale, 1f, 1f, int.MaxValue, scale);
    }

    /// <summary>A scale that grows while gradients are finite and backs off when one is not. The defaults are PyTorch's GradScaler's.</summary>
    /// <param name="initial">The scale of the first step; above 0 and finite.</param>
    /// <param name="growthFactor">At least 1.</param>
    /// <param name="backoffFactor">Above 0 and below 1.</param>
    /// <param name="growthInterval">Steps without overflow before the scale grows; at least 1.</param>
    /// <param name="floor">The scale never falls below; above 0 and at most <paramref name="initial"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public static LossScale Dynamic(float initial = 65536f, float growthFactor = 2f, float backoffFactor = 0.5f, int growthInterval = 2000, float floor = 1f)
    {
        Positive(initial, nameof(initial));
        Positive(floor, nameof(floor));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(floor, initial);
        if (!(growthFactor >= 1f && float.IsFinite(growthFactor))) throw new ArgumentOutOfRangeException(nameof(growthFactor), growthFactor, "Expected a finite factor of at least 1.");
        if (!(backoffFactor > 0f && backoffFactor < 1f)) throw new ArgumentOutOfRangeException(nameof(backoffFactor), backoffFactor, "Expected a factor above 0 and below 1.");
        ArgumentOutOfRangeException.ThrowIfLessThan(growthInterval, 1);
        return new LossScale(initial, growthFactor, backoffFactor, growthInterval, floor);
    }

    private static void Positive(float value, string name)
    {
        if (!(value > 0f && float.IsFinite(value))) throw new ArgumentOutOfRangeException(name, value, "Expected a finite scale above 0.");
    }
}
