using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct GeluFunction
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Forward(Vector512<float> x, float parameter) => x * Distribution(x, out _);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Backward(Vector512<float> x, Vector512<float> dy, float parameter)
    {
        var distribution = Distribution(x, out var exponential);
        return dy * Vector512.FusedMultiplyAdd(x * exponential, Vector512.Create(InverseRootTwoPi), distribution);
    }

    /// <summary>P(x) = erfc(-x / sqrt(2)) / 2; <paramref name="exponential"/> is exp(-x^2 / 2).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Distribution(Vector512<float> x, out Vector512<float> exponential)
    {
        exponential = CpuVector.Exp(x * x * -0.5f);
        var t = Vector512<float>.One / Vector512.FusedMultiplyAdd(Vector512.Abs(x), Vector512.Create(HalfRootHalf), Vector512<float>.One);
        var sum = Vector512.Create(Q8);
        sum = Vector512.FusedMultiplyAdd(sum, t, Vector512.Create(Q7));
        sum = Vector512.FusedMultiplyAdd(sum, t, Vector512.Create(Q6));
        sum = Vector512.FusedMultiplyAdd(sum, t, Vector512.Create(Q5));
        sum = Vector512.FusedMultiplyAdd(sum, t, Vector512.Create(Q4));
        sum = Vector512.FusedMultiplyAdd(sum, t, Vector512.Create(Q3));
        sum = Vector512.FusedMultiplyAdd(sum, t, Vector512.Create(Q2));
        sum = Vector512.FusedMultiplyAdd(sum, t, Vector512.Create(Q1));
        sum = Vector512.FusedMultiplyAdd(sum, t, Vector512.Create(Q0));
        var tail = sum * t * exponential * 0.5f;
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512<float>.Zero), tail, Vector512<float>.One - tail);
    }
}
