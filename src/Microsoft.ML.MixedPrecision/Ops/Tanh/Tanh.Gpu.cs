using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct TanhFunction
{
    public static float Forward(float x, float parameter)
    {
        float square = x * x;
        float sum = (((P4 * square + P3) * square + P2) * square + P1) * square + P0;
        return XMath.Abs(x) < Small ? x + x * (square * sum) : 1f - 2f / (XMath.Exp(x + x) + 1f);
    }

    public static float Backward(float y, float dy, float parameter) => dy * (1f - y * y);
}
