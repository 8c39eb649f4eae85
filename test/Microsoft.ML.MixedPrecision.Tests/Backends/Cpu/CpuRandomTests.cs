namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed unsafe class CpuRandomTests
{
    [TestMethod]
    public void Sixteen_counters_at_once_are_sixteen_counters()
    {
        ulong* keys = stackalloc ulong[CpuRandom.KeyCount];
        uint* words = stackalloc uint[CpuRandom.WordsAtOnce];
        foreach (var (c0, c1, k0, k1) in new[] { (0u, 0u, 0u, 0u), (16u, 5u, 7u, 3u), (0xFFFFFFF0u, 0xFFFFFFFFu, 0xFFFFFFFFu, 0x80000000u) })
        {
            CpuRandom.Keys(k0, k1, keys);
            CpuRandom.Words(c0, c1, keys, words);
            for (uint i = 0; i < 16; i++)
            {
                var expected = CounterRandom.Philox(c0 + i, c1, k0, k1);
                uint* of = words + 4 * i;
                Assert.AreEqual(expected, new RandomWords(of[0], of[1], of[2], of[3]), $"counter {c0} + {i}");
            }
        }
    }
}
