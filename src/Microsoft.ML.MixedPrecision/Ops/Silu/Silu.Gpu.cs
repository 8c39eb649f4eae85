namespace Microsoft.ML.MixedPrecision;

internal readonly partial struct SiluFunction
{
    public static float Forward(float x, float parameter) => x * SigmoidFunction.Forward(x, parameter);

    public static float Backward(float x, float dy, float parameter)
    {
        float s = SigmoidFunction.Forward(x, parameter);
        return dy * s * (1f + x * (1f - s));
    }
}
