using System.Globalization;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// The bounds of all numeric tests, derived from the formats. No test has a tolerance of its own.
/// One rounding to half errs by at most 2^-11 of the value, or 2^-25 where it is subnormal; one FP32 operation by 2^-24.
/// </summary>
internal static partial class Tolerance
{
    public const double HalfEps = 1.0 / 2048, HalfTiny = 1.0 / (1 << 25), SingleEps = 1.0 / (1 << 24);

    /// <summary>
    /// The bound on an element's error: some roundings to storage, and a chain of FP32 operations, each of which may err by
    /// its part of the largest magnitude around.
    /// </summary>
    /// <param name="scale">The largest magnitude in the tensor.</param>
    /// <param name="roundings">To the working storage, on the way to the element.</param>
    /// <param name="operations">In FP32, on the way to the element.</param>
    public static double Bound(Precision precision, double scale, int roundings, int operations)
    {
        // Roundings in FP32 storage cost nothing extra. Functions such as exp err by a few units in the last place: 16 operations more.
        double single = (operations + 16) * SingleEps * (scale + 1e-3);
        return precision == Precision.Mixed ? single + roundings * (HalfEps * scale + HalfTiny) : single;
    }

    /// <summary>Fails with the five worst elements where any error exceeds <see cref="Bound"/>, or is not a number.</summary>
    public static void AssertClose(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, Precision precision, int roundings, int operations, string what)
    {
        Assert.AreEqual(expected.Length, actual.Length, $"{what}: number of elements");
        double scale = 0;
        foreach (double e in expected) scale = Math.Max(scale, Math.Abs(e));
        double bound = Bound(precision, scale, roundings, operations);
        var wrong = new List<(double Error, string Text)>();
        for (int i = 0; i < expected.Length; i++)
        {
            double error = Math.Abs(expected[i] - actual[i]);
            if (!(error <= bound)) wrong.Add((double.IsNaN(error) ? double.MaxValue : error, string.Create(CultureInfo.InvariantCulture, $"[{i}] expected {expected[i]:G7}, got {actual[i]:G7}")));
        }
        if (wrong.Count > 0)
            Assert.Fail($"{what}: {wrong.Count} of {expected.Length} elements beyond {bound:G3}: {string.Join("; ", wrong.OrderByDescending(w => w.Error).Take(5).Select(w => w.Text))}");
    }
}
