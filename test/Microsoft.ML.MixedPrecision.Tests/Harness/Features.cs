namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Random values of a feature column.</summary>
internal static class Features
{
    /// <summary>A value that a network can take: a number in ±spread, or a token.</summary>
    /// <param name="unit">From 0 to below 1.</param>
    public static float Of(Network network, float unit, double spread = 1) =>
        network.InputFormat.IsTokens ? MathF.Floor(unit * network.InputFormat.Vocabulary) : (float)((2 * unit - 1) * spread);
}
