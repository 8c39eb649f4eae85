namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct HardswishFunction
{
    public static float Forward(float x, float parameter) => x * HardsigmoidFunction.Forward(x, parameter);

    public static float Backward(float x, float dy, float parameter) => x < -Knee ? 0f : x > Knee ? dy : dy * ((x + x + Knee) * Slope);
}
