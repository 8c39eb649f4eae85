using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct TanhFunction
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Forward(Vector512<float> x, float parameter)
    {
        var square = x * x;
        var sum = Vector512.FusedMultiplyAdd(square, Vector512.Create(P4), Vector512.Create(P3));
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(P2));
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(P1));
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(P0));
        var large = Vector512<float>.One - Vector512.Create(2f) / (CpuVector.Exp(x + x) + Vector512<float>.One);
        return Vector512.ConditionalSelect(Vector512.LessThan(Vector512.Abs(x), Vector512.Create(Small)), Vector512.FusedMultiplyAdd(x, square * sum, x), large);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Backward(Vector512<float> y, Vector512<float> dy, float parameter) => dy * (Vector512<float>.One - y * y);
}
