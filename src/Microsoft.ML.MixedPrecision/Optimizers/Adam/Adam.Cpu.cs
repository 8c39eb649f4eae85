using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial record struct AdamRule
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Apply(ref Vector512<float> w, Vector512<float> g, ref Vector512<float> first, ref Vector512<float> second, in UpdateCoefficients c)
    {
        g += w * Decay;
        first = first * Beta1 + g * (1f - Beta1);
        second = second * Beta2 + g * g * (1f - Beta2);
        w = w * c.C3 - first * c.C1 / (Vector512.Sqrt(second) * c.C2 + Vector512.Create(Eps));
    }
}
