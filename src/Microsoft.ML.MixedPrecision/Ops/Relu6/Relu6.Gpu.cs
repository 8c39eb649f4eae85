namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct Relu6Function
{
    // Comparisons, as Relu's: NaN must pass.
    public static float Forward(float x, float parameter) => x < 0f ? 0f : x > Most ? Most : x;

    public static float Backward(float y, float dy, float parameter) => y <= 0f ? 0f : y >= Most ? 0f : dy;
}
