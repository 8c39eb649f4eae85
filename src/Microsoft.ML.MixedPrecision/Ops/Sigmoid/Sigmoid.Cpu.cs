using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct SigmoidFunction
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Forward(Vector512<float> x, float parameter) => Vector512<float>.One / (Vector512<float>.One + CpuVector.Exp(-x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Backward(Vector512<float> y, Vector512<float> dy, float parameter) => dy * y * (Vector512<float>.One - y);
}
