namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct ReluFunction
{
    // Written as a comparison, not as MathF.Max: NaN must pass, and a device's max drops it.
    public static float Forward(float x, float parameter) => x < 0f ? 0f : x;

    public static float Backward(float y, float dy, float parameter) => y <= 0f ? 0f : dy;
}
