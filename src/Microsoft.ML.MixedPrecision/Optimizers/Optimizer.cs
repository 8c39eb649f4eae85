namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// How a gradient changes the weights. One fused kernel over all parameters unscales, clips, decays, updates FP32 state and
/// the FP32 master weights and stores the half copy; where the step overflowed it does nothing.
/// </summary>
public abstract record Optimizer
{
    private protected Optimizer() { }

    /// <summary>The step size before the schedule; above 0 and finite.</summary>
    public float LearningRate { get; init; }

    /// <summary>Elements that an update reads from the plan's table of coefficients; the first is the learning rate.</summary>
    internal const int CoefficientCount = 4;

    /// <summary>The names of the FP32 state that each parameter has.</summary>
    internal abstract IReadOnlyList<string> StateNames { get; }

    /// <summary>What the kernel multiplies with at an update, in FP64 on the host: a device need not raise to powers.</summary>
    /// <param name="update">The number of updates applied before, from 0.</param>
    /// <param name="learningRate">As the schedule has it for this update.</param>
    /// <param name="coefficients"><see cref="CoefficientCount"/> elements.</param>
    internal abstract void Coefficients(int update, double learningRate, Span<float> coefficients);

    /// <summary>The update of all parameters.</summary>
    /// <param name="block">Weights, masters and state.</param>
    /// <param name="gradients">Working storage, or the FP32 sum over micro-steps; with the loss scale.</param>
    internal abstract Kernel Update(ParameterBlock block, Tensor gradients, StepControl control, Tensor coefficients);

    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range; the message names it.</exception>
    internal abstract void Validate();

    private protected static void Expect(bool valid, string name, float value, string expected)
    {
        if (!valid) throw new ArgumentOutOfRangeException(name, value, $"{name}: expected {expected}, got {value}.");
    }
}
