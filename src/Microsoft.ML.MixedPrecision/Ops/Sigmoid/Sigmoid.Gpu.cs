using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct SigmoidFunction
{
    public static float Forward(float x, float parameter) => 1f / (1f + XMath.Exp(-x));

    public static float Backward(float y, float dy, float parameter) => dy * y * (1f - y);
}
