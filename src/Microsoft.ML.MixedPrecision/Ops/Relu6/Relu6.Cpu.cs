using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct Relu6Function
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Forward(Vector512<float> x, float parameter) => Vector512.Min(Vector512.Max(x, Vector512<float>.Zero), Vector512.Create(Most));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Backward(Vector512<float> y, Vector512<float> dy, float parameter) =>
        Vector512.ConditionalSelect(Vector512.LessThanOrEqual(y, Vector512<float>.Zero) | Vector512.GreaterThanOrEqual(y, Vector512.Create(Most)), Vector512<float>.Zero, dy);
}
