using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct TanhFunction
{
    public static float Forward(float x, float parameter) => 1f - 2f / (XMath.Exp(x + x) + 1f);

    public static float Backward(float y, float dy, float parameter) => dy * (1f - y * y);
}
