using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed unsafe class CpuRandomTests
{
    [TestMethod]
    public void Eight_counters_at_once_are_eight_counters()
    {
        ulong* keys = stackalloc ulong[CpuRandom.KeyCount];
        foreach (var (c0, c1, k0, k1) in new[] { (0u, 0u, 0u, 0u), (16u, 5u, 7u, 3u), (0xFFFFFFF0u, 0xFFFFFFFFu, 0xFFFFFFFFu, 0x80000000u) })
        {
            CpuRandom.Keys(k0, k1, keys);
            CpuRandom.Words(c0, c1, keys, out var low, out var high);
            for (uint i = 0; i < 8; i++)
            {
                var expected = CounterRandom.Philox(c0 + i, c1, k0, k1);
                var words = i < 4 ? low : high;
                int at = (int)(i % 4) * 4;
                Assert.AreEqual(expected, new RandomWords(words[at], words[at + 1], words[at + 2], words[at + 3]), $"counter {c0} + {i}");
            }
        }
    }
}
