using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial record struct SgdRule
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Apply(ref Vector512<float> w, Vector512<float> g, ref Vector512<float> first, ref Vector512<float> second, in UpdateCoefficients c) =>
        w -= (g + w * Decay) * c.LearningRate;
}

internal readonly partial record struct MomentumRule
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Apply(ref Vector512<float> w, Vector512<float> g, ref Vector512<float> first, ref Vector512<float> second, in UpdateCoefficients c)
    {
        g += w * Decay;
        first = first * Momentum + g; // starts at 0, so the first step is g, as PyTorch has it
        w -= (Nesterov != 0f ? g + first * Momentum : first) * c.LearningRate;
    }
}
