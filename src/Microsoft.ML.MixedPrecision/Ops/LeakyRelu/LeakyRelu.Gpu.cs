namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct LeakyReluFunction
{
    public static float Forward(float x, float parameter) => x < 0f ? x * parameter : x;

    public static float Backward(float y, float dy, float parameter) => y <= 0f ? dy * parameter : dy;
}
