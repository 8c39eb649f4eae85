using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct GeluFunction
{
    public static float Forward(float x, float parameter)
    {
        float z = XMath.Abs(x) * RootHalf;
        return x * Distribution(x, z, XMath.Exp(-z * z));
    }

    public static float Backward(float x, float dy, float parameter)
    {
        float z = XMath.Abs(x) * RootHalf, exponential = XMath.Exp(-z * z);
        return dy * (Distribution(x, z, exponential) + x * exponential * InverseRootTwoPi);
    }

    private static float Distribution(float x, float z, float exponential)
    {
        float t = 1f / (1f + z * P);
        float tail = ((((t * A5 + A4) * t + A3) * t + A2) * t + A1) * t * exponential * 0.5f;
        return x < 0f ? tail : 1f - tail;
    }
}
