namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct HardsigmoidFunction
{
    public static float Forward(float x, float parameter) => (x < -Knee ? 0f : x > Knee ? 2 * Knee : x + Knee) * Slope;

    public static float Backward(float x, float dy, float parameter) => x <= -Knee ? 0f : x >= Knee ? 0f : dy * Slope;
}
