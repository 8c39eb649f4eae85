using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The vector functions that .NET has no fast one of.</summary>
[TestClass, TestCategory("VectorWidth")]
public sealed class CpuVectorTests
{
    [TestMethod]
    public void The_exponential_is_within_a_unit_and_a_half_of_the_last_place()
    {
        for (float x = -105f; x < 89.5f; x += 0.00137f)
        {
            double expected = Math.Exp(x);
            float actual = Exp(x);
            if (expected > float.MaxValue) Assert.AreEqual(float.PositiveInfinity, actual, $"{x:R}");
            else Assert.IsLessThanOrEqualTo(1.5 * (MathF.BitIncrement((float)expected) - (double)(float)expected), Math.Abs(actual - expected), $"e^{x:R} = {expected}, got {actual}");
        }
    }

    [TestMethod]
    public void The_exponential_is_exact_where_others_rely_on_it()
    {
        Assert.AreEqual(1f, Exp(0f));
        Assert.AreEqual(1f, Exp(-0f));
        Assert.AreEqual(0f, Exp(float.NegativeInfinity));
        Assert.AreEqual(0f, Exp(-1e30f));
        Assert.AreEqual(float.PositiveInfinity, Exp(float.PositiveInfinity));
        Assert.IsTrue(float.IsNaN(Exp(float.NaN)));
    }

    private static float Exp(float x) => CpuVector.Exp(Vector512.Create(x))[7];
}
