namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Bounds for the hand-built linear models, from the format: values of at most 1, so a sum of n terms is at most n.</summary>
internal static class Tolerances
{
    /// <summary>n roundings of partial sums that are at most n, plus the rounding of the result.</summary>
    public static OnnxTolerance Of(OnnxPrecision precision, int terms)
    {
        float unit = precision == OnnxPrecision.Half ? 1 / 2048f : 1 / 16777216f; // half a unit in the last place at 1
        return new OnnxTolerance(terms * terms * unit, unit);
    }
}
