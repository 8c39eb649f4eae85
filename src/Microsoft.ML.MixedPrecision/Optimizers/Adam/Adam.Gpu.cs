using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial record struct AdamRule
{
    public void Apply(ref float w, float g, ref float first, ref float second, UpdateCoefficients c)
    {
        g += w * Decay;
        first = first * Beta1 + g * (1f - Beta1);
        second = second * Beta2 + g * g * (1f - Beta2);
        w = w * c.C3 - first * c.C1 / (XMath.Sqrt(second) * c.C2 + Eps);
    }
}
