namespace Microsoft.ML.MixedPrecision.Tests;

internal static class Initializers
{
    /// <summary>A whole parameter, as one part.</summary>
    public static float[] Create(this Initializer initializer, int length, CounterRandom random)
    {
        var values = new float[length];
        initializer.Fill(values, 0, random);
        return values;
    }
}
