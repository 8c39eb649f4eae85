using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct HardsigmoidFunction
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Forward(Vector512<float> x, float parameter) =>
        Vector512.Min(Vector512.Max(x + Vector512.Create(Knee), Vector512<float>.Zero), Vector512.Create(2 * Knee)) * Slope;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Backward(Vector512<float> x, Vector512<float> dy, float parameter) =>
        Vector512.ConditionalSelect(Vector512.LessThanOrEqual(x, Vector512.Create(-Knee)) | Vector512.GreaterThanOrEqual(x, Vector512.Create(Knee)), Vector512<float>.Zero, dy * Slope);
}
