namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Stochastic gradient descent, as PyTorch's torch.optim.SGD: g += decay w; v = momentum v + (1 - dampening) g; w -= rate (g + momentum v)
/// with Nesterov, rate v without.
/// </summary>
public sealed record Sgd : Optimizer
{
    /// <summary>Stochastic gradient descent.</summary>
    /// <param name="learningRate">The step size; 1e-3 by default, above 0.</param>
    /// <param name="momentum">From 0 to below 1; 0 by default.</param>
    /// <param name="nesterov">Nesterov's momentum; needs a momentum above 0.</param>
    public Sgd(float learningRate = 1e-3f, float momentum = 0f, bool nesterov = false) =>
        (LearningRate, Momentum, Nesterov) = (learningRate, momentum, nesterov);

    /// <summary>From 0 to below 1; 0 by default.</summary>
    public float Momentum { get; init; }

    /// <summary>Nesterov's momentum; false by default.</summary>
    public bool Nesterov { get; init; }

    /// <summary>The factor of w that is added to the gradient (L2); 0 by default, at least 0.</summary>
    public float WeightDecay { get; init; }

    internal override IReadOnlyList<string> StateNames => Momentum > 0f ? ["Momentum"] : [];

    internal override void Coefficients(int update, double learningRate, Span<float> coefficients)
    {
        coefficients.Clear();
        coefficients[0] = (float)learningRate;
    }

    internal override Kernel Update(ParameterBlock block, Tensor gradients, StepControl control, Tensor coefficients) => Momentum > 0f
        ? new OptimizerUpdate<MomentumRule>("Sgd", new MomentumRule(Momentum, WeightDecay, Nesterov ? 1f : 0f), block, gradients, control, coefficients)
        : new OptimizerUpdate<SgdRule>("Sgd", new SgdRule(WeightDecay), block, gradients, control, coefficients);

    internal override void Validate()
    {
        Expect(LearningRate > 0f && float.IsFinite(LearningRate), nameof(LearningRate), LearningRate, "a finite rate above 0");
        Expect(Momentum >= 0f && Momentum < 1f, nameof(Momentum), Momentum, "a value from 0 to below 1");
        Expect(WeightDecay >= 0f && float.IsFinite(WeightDecay), nameof(WeightDecay), WeightDecay, "a finite value of at least 0");
        Expect(!Nesterov || Momentum > 0f, nameof(Nesterov), 1f, "a momentum above 0 with Nesterov");
    }
}

internal readonly partial record struct SgdRule(float Decay) : IUpdateRule<SgdRule>
{
    public static int StateCount => 0;
}

/// <param name="Momentum">From 0 to below 1.</param>
/// <param name="Decay">L2.</param>
/// <param name="Nesterov">1 or 0.</param>
internal readonly partial record struct MomentumRule(float Momentum, float Decay, float Nesterov) : IUpdateRule<MomentumRule>
{
    public static int StateCount => 1;
}
