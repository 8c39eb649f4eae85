namespace Microsoft.ML.MixedPrecision.Tests;

internal static partial class Tolerance
{
    /// <summary>
    /// For a sum of terms of at most 1 that ONNX Runtime computes: every partial sum is at most their number, is rounded once,
    /// and the result once more.
    /// </summary>
    public static OnnxTolerance OfSum(OnnxPrecision precision, int terms)
    {
        double eps = precision == OnnxPrecision.Half ? HalfEps : SingleEps;
        return new OnnxTolerance((float)(terms * terms * eps), (float)eps);
    }
}
