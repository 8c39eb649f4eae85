namespace Microsoft.ML.MixedPrecision;

/// <summary>How far a value may be from the expected one: absolute + relative * |expected|.</summary>
internal readonly record struct OnnxTolerance(float Absolute, float Relative)
{
    public float Bound(float expected) => Absolute + Relative * MathF.Abs(expected);
}

/// <summary>One value of the training forward pass beside ONNX Runtime's: rows [rows, columns] of a layer.</summary>
internal sealed record OnnxComparison(string Layer, ReadOnlyMemory<float> Expected, ReadOnlyMemory<float> Actual, int Columns, OnnxTolerance Tolerance);

/// <summary>Compares an exported model with the network that it was exported from.</summary>
internal static class OnnxCheck
{
    /// <exception cref="InvalidOperationException">They differ by more than the tolerance; the message names layer, row and column of the worst value.</exception>
    public static void Compare(OnnxComparison comparison)
    {
        if (Worst(comparison) is { } message) throw new InvalidOperationException(message);
    }

    /// <summary>Compares layers in the order of the network and reports the first that differs: later ones inherit its error.</summary>
    /// <exception cref="InvalidOperationException">As above.</exception>
    public static void Compare(IEnumerable<OnnxComparison> layers)
    {
        foreach (OnnxComparison layer in layers) Compare(layer);
    }

    /// <summary>What is wrong, or null.</summary>
    private static string? Worst(OnnxComparison comparison)
    {
        (string layer, ReadOnlyMemory<float> expectedRows, ReadOnlyMemory<float> actualRows, int columns, OnnxTolerance tolerance) = comparison;
        ReadOnlySpan<float> expected = expectedRows.Span, actual = actualRows.Span;
        if (expected.Length != actual.Length || expected.Length % columns != 0)
            return $"The exported model does not match the trained network at '{layer}': expected {expected.Length} values in rows of {columns}, got {actual.Length}.";

        int worst = -1, outside = 0;
        float worstExcess = 0; // in bounds: 2 is twice what is allowed
        for (int i = 0; i < expected.Length; i++)
        {
            float excess = Excess(expected[i], actual[i], tolerance);
            if (excess <= 1) continue;
            outside++;
            if (excess <= worstExcess) continue;
            (worst, worstExcess) = (i, excess);
        }
        if (worst < 0) return null;
        return FormattableString.Invariant(
            $"The exported model does not match the trained network at '{layer}': row {worst / columns}, column {worst % columns}: expected {expected[worst]} within {tolerance.Bound(expected[worst])}, got {actual[worst]}; {outside} of {expected.Length} values are outside their bounds. Export with OnnxPrecision.Single, or report this as a defect if it differs too.");
    }

    private static float Excess(float expected, float actual, OnnxTolerance tolerance)
    {
        if (expected.Equals(actual)) return 0; // also NaN and NaN, infinity and infinity
        float excess = MathF.Abs(expected - actual) / tolerance.Bound(expected);
        return float.IsNaN(excess) ? float.PositiveInfinity : excess;
    }
}
