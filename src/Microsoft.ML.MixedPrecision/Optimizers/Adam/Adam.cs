namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Adam (Kingma and Ba, 2015), as PyTorch's torch.optim.Adam: g += decay w; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
/// w -= rate / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps), with t the number of this update.
/// </summary>
public sealed record Adam : Optimizer
{
    /// <summary>Adam.</summary>
    /// <param name="learningRate">The step size; 1e-3 by default, above 0.</param>
    public Adam(float learningRate = 1e-3f) => LearningRate = learningRate;

    /// <summary>b1, the share of the old mean of gradients; 0.9 by default, from 0 to below 1.</summary>
    public float Beta1 { get; init; } = 0.9f;

    /// <summary>b2, the share of the old mean of squares; 0.999 by default, from 0 to below 1.</summary>
    public float Beta2 { get; init; } = 0.999f;

    /// <summary>Added to the root of the squares; 1e-8 by default, above 0. State is FP32, where it does not vanish.</summary>
    public float Eps { get; init; } = 1e-8f;

    /// <summary>The factor of w that is added to the gradient (L2); 0 by default, at least 0.</summary>
    public float WeightDecay { get; init; }

    internal override IReadOnlyList<string> StateNames => AdamMath.StateNames;

    internal override void Coefficients(int update, double learningRate, Span<float> coefficients) =>
        AdamMath.Coefficients(update, learningRate, Beta1, Beta2, decay: 0, coefficients);

    internal override Kernel Update(ParameterBlock block, Tensor gradients, StepControl control, Tensor coefficients) =>
        new OptimizerUpdate<AdamRule>("Adam", new AdamRule(Beta1, Beta2, Eps, WeightDecay), block, gradients, control, coefficients);

    internal override void Validate()
    {
        Expect(LearningRate > 0f && float.IsFinite(LearningRate), nameof(LearningRate), LearningRate, "a finite rate above 0");
        Expect(Beta1 >= 0f && Beta1 < 1f, nameof(Beta1), Beta1, "a value from 0 to below 1");
        Expect(Beta2 >= 0f && Beta2 < 1f, nameof(Beta2), Beta2, "a value from 0 to below 1");
        Expect(Eps > 0f && float.IsFinite(Eps), nameof(Eps), Eps, "a finite value above 0");
        Expect(WeightDecay >= 0f && float.IsFinite(WeightDecay), nameof(WeightDecay), WeightDecay, "a finite value of at least 0");
    }
}

/// <summary>
/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019), as PyTorch's torch.optim.AdamW: w -= rate decay w, then Adam
/// without decay in the gradient.
/// </summary>
public sealed record AdamW : Optimizer
{
    /// <summary>AdamW.</summary>
    /// <param name="learningRate">The step size; 1e-3 by default, above 0.</param>
    public AdamW(float learningRate = 1e-3f) => LearningRate = learningRate;

    /// <inheritdoc cref="Adam.Beta1"/>
    public float Beta1 { get; init; } = 0.9f;

    /// <inheritdoc cref="Adam.Beta2"/>
    public float Beta2 { get; init; } = 0.999f;

    /// <inheritdoc cref="Adam.Eps"/>
    public float Eps { get; init; } = 1e-8f;

    /// <summary>The share of the learning rate by which each weight shrinks at an update; 0.01 by default, at least 0.</summary>
    public float WeightDecay { get; init; } = 0.01f;

    internal override IReadOnlyList<string> StateNames => AdamMath.StateNames;

    internal override void Coefficients(int update, double learningRate, Span<float> coefficients) =>
        AdamMath.Coefficients(update, learningRate, Beta1, Beta2, WeightDecay, coefficients);

    internal override Kernel Update(ParameterBlock block, Tensor gradients, StepControl control, Tensor coefficients) =>
        new OptimizerUpdate<AdamRule>("AdamW", new AdamRule(Beta1, Beta2, Eps, Decay: 0f), block, gradients, control, coefficients);

    internal override void Validate()
    {
        new Adam(LearningRate) { Beta1 = Beta1, Beta2 = Beta2, Eps = Eps }.Validate();
        Expect(WeightDecay >= 0f && float.IsFinite(WeightDecay), nameof(WeightDecay), WeightDecay, "a finite value of at least 0");
    }
}

/// <summary>What Adam and AdamW share.</summary>
internal static class AdamMath
{
    public static IReadOnlyList<string> StateNames { get; } = ["Mean", "MeanOfSquares"];

    /// <summary>The bias corrections of update + 1, so that a kernel need not raise to powers: rate, rate / (1 - b1^t), 1 / sqrt(1 - b2^t), 1 - rate decay.</summary>
    public static void Coefficients(int update, double rate, double beta1, double beta2, double decay, Span<float> coefficients)
    {
        coefficients[0] = (float)rate;
        coefficients[1] = (float)(rate / (1 - Math.Pow(beta1, update + 1.0)));
        coefficients[2] = (float)(1 / Math.Sqrt(1 - Math.Pow(beta2, update + 1.0)));
        coefficients[3] = (float)(1 - rate * decay);
    }
}

/// <param name="Decay">L2: added to the gradient. The decoupled decay is in the coefficients.</param>
internal readonly partial record struct AdamRule(float Beta1, float Beta2, float Eps, float Decay) : IUpdateRule<AdamRule>
{
    public static int StateCount => 2;
}
