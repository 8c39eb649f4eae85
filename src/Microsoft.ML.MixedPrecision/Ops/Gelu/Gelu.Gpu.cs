using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct GeluFunction
{
    public static float Forward(float x, float parameter) => x * Distribution(x, XMath.Exp(x * x * -0.5f));

    public static float Backward(float x, float dy, float parameter)
    {
        float exponential = XMath.Exp(x * x * -0.5f);
        return dy * (Distribution(x, exponential) + x * exponential * InverseRootTwoPi);
    }

    private static float Distribution(float x, float exponential)
    {
        float t = 1f / (1f + XMath.Abs(x) * HalfRootHalf);
        float sum = (((((((Q8 * t + Q7) * t + Q6) * t + Q5) * t + Q4) * t + Q3) * t + Q2) * t + Q1) * t + Q0;
        float tail = sum * t * exponential * 0.5f;
        return x < 0f ? tail : 1f - tail;
    }
}
