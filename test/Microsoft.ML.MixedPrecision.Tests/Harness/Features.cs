namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Random values of a feature column.</summary>
internal static class Features
{
    /// <summary>A value that a network can take: a number in ±spread, or a token.</summary>
    /// <param name="unit">From 0 to below 1.</param>
    /// <param name="place">Of the value in all rows: in a table those of numbers come first in each row.</param>
    public static float Of(Network network, int place, float unit, double spread = 1) =>
        network.InputFormat.HasTokens && place % network.InputShape.Size >= network.InputFormat.Numbers ? MathF.Floor(unit * network.InputFormat.Vocabulary) : (float)((2 * unit - 1) * spread);
}
