using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MixedPrecision;

/// <summary><see cref="CounterRandom.Philox"/> of eight counters at once, bit for bit the same.</summary>
internal static unsafe class CpuRandom
{
    /// <summary>Numbers that <see cref="Keys"/> writes.</summary>
    public const int KeyCount = 2 * Rounds;

    private const int Rounds = 10;

    /// <summary>The keys of all rounds under (k0, k1), made once for many counters: from memory a round takes one as it is.</summary>
    public static void Keys(uint k0, uint k1, ulong* keys)
    {
        for (int round = 0; round < Rounds; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) (keys[2 * round], keys[2 * round + 1]) = (k0, k1);
    }

    /// <summary>The words of the counters (c0, c1) to (c0 + 7, c1), counter by counter, four words of each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Words(uint c0, uint c1, ulong* keys, out Vector512<uint> low, out Vector512<uint> high)
    {
        // A counter in each lane of 64 bits; only the lower 32 mean anything, and only they are multiplied.
        var x0 = (Vector512.Create(c0) + Vector512<ulong>.Indices.AsUInt32()).AsUInt64();
        Vector512<ulong> x1 = Vector512.Create((ulong)c1), x2 = Vector512<ulong>.Zero, x3 = x2;
        // Two rounds in turn, so that no word is moved from one register to another.
        for (ulong* end = keys + KeyCount; keys < end; keys += 4)
        {
            Vector512<ulong> first = Multiply(x0, 0xD2511F53u), second = Multiply(x2, 0xCD9E8D57u);
            var y0 = (second >> 32) ^ x1 ^ Vector512.Create(keys[0]);
            var y2 = (first >> 32) ^ x3 ^ Vector512.Create(keys[1]);
            x3 = Multiply(y0, 0xD2511F53u);
            x1 = Multiply(y2, 0xCD9E8D57u);
            x0 = (x1 >> 32) ^ second ^ Vector512.Create(keys[2]);
            x2 = (x3 >> 32) ^ first ^ Vector512.Create(keys[3]);
        }
        var word = Vector512.Create((ulong)uint.MaxValue);
        Vector512<ulong> even = (x0 & word) | (x1 << 32), odd = (x2 & word) | (x3 << 32);
        low = Interleave(even, odd, Vector512.Create(0UL, 0, 1, 1, 2, 2, 3, 3));
        high = Interleave(even, odd, Vector512.Create(4UL, 4, 5, 5, 6, 6, 7, 7));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Multiply(Vector512<ulong> x, uint factor) => Avx512F.IsSupported
        ? Avx512F.Multiply(x.AsUInt32(), Vector512.Create((ulong)factor).AsUInt32())
        : (x & Vector512.Create((ulong)uint.MaxValue)) * Vector512.Create((ulong)factor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Interleave(Vector512<ulong> even, Vector512<ulong> odd, Vector512<ulong> from) => Vector512.ConditionalSelect(
        Vector512.Create(ulong.MaxValue, 0, ulong.MaxValue, 0, ulong.MaxValue, 0, ulong.MaxValue, 0), Vector512.Shuffle(even, from), Vector512.Shuffle(odd, from)).AsUInt32();
}
