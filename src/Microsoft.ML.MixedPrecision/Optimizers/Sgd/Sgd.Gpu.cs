namespace Microsoft.ML.MixedPrecision;

internal readonly partial record struct SgdRule
{
    public void Apply(ref float w, float g, ref float first, ref float second, UpdateCoefficients c) =>
        w -= (g + w * Decay) * c.LearningRate;
}

internal readonly partial record struct MomentumRule
{
    public void Apply(ref float w, float g, ref float first, ref float second, UpdateCoefficients c)
    {
        g += w * Decay;
        first = first * Momentum + g;
        w -= (Nesterov != 0f ? g + first * Momentum : first) * c.LearningRate;
    }
}
