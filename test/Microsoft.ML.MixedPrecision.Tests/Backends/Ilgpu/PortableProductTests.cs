namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>How the GPU's product cuts a long k. What it computes: <see cref="MatrixProductTests"/>.</summary>
[TestClass]
public sealed class PortableProductTests
{
    [TestMethod]
    public void Few_tiles_and_a_long_k_make_parts()
    {
        Assert.AreEqual(1, PortableProduct.Parts(1, 1, 511));
        Assert.AreEqual(2, PortableProduct.Parts(1, 1, 512));
        Assert.AreEqual(15, PortableProduct.Parts(288, 64, 12544)); // 18 tiles: 270 groups
        Assert.AreEqual(1, PortableProduct.Parts(4096, 512, 100_000)); // tiles enough
    }

    [TestMethod]
    public void The_sums_of_all_parts_fit_their_place()
    {
        foreach (int m in (ReadOnlySpan<int>)[1, 31, 32, 33, 288, 1000, 100_000])
        {
            foreach (int n in (ReadOnlySpan<int>)[1, 10, 33, 512, 4096])
            {
                foreach (int k in (ReadOnlySpan<int>)[1, 511, 512, 4097, 3_000_000])
                {
                    int parts = PortableProduct.Parts(m, n, k);
                    Assert.IsTrue(parts == 1 || (long)parts * m * n <= PortableProduct.MostPartialSums, $"{m} x {n} x {k}: {parts}");
                    Assert.IsTrue(parts == 1 || k / parts >= 256, $"{m} x {n} x {k}: {parts}");
                }
            }
        }
    }

    [TestMethod]
    public void A_divisor_divides_every_number_that_an_index_can_be()
    {
        foreach (int d in (ReadOnlySpan<int>)[1, 2, 3, 5, 7, 28, 31, 32, 33, 641, 1023, 65535, 65536, 65537, 1_000_003, (1 << 30) - 1, 1 << 30, (1 << 30) + 1, int.MaxValue])
        {
            var divisor = new Divisor(d);
            for (int i = 0; i < 3000; i++)
            {
                foreach (long n in (ReadOnlySpan<long>)[i, int.MaxValue - i, (long)d * i - 1, (long)d * i, (long)d * (int.MaxValue / d) - 1 - i])
                    if (n is >= 0 and <= int.MaxValue) Assert.AreEqual((int)n / d, divisor.Divide((int)n), $"{n} / {d}");
            }
        }
    }
}
