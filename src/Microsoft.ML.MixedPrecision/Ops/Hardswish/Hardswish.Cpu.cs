using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct HardswishFunction
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Forward(Vector512<float> x, float parameter) => x * HardsigmoidFunction.Forward(x, parameter);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Backward(Vector512<float> x, Vector512<float> dy, float parameter)
    {
        var parabola = dy * ((x + x + Vector512.Create(Knee)) * Slope);
        var line = Vector512.ConditionalSelect(Vector512.GreaterThan(x, Vector512.Create(Knee)), dy, parabola);
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(-Knee)), Vector512<float>.Zero, line);
    }
}
