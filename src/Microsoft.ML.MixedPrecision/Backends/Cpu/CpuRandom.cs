using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MixedPrecision;

/// <summary><see cref="CounterRandom.Philox"/> of sixteen counters at once, bit for bit the same.</summary>
internal static unsafe class CpuRandom
{
    /// <summary>Numbers that <see cref="Keys"/> writes.</summary>
    public const int KeyCount = 2 * Rounds;

    /// <summary>Numbers that <see cref="Words"/> writes.</summary>
    public const int WordsAtOnce = 64;

    private const int Rounds = 10;

    /// <summary>The keys of all rounds under (k0, k1), made once for many counters: from memory a round takes one as it is.</summary>
    public static void Keys(uint k0, uint k1, ulong* keys)
    {
        for (int round = 0; round < Rounds; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) (keys[2 * round], keys[2 * round + 1]) = (k0, k1);
    }

    /// <summary>
    /// The words of the counters (c0, c1) to (c0 + 15, c1), counter by counter, four words of each: 64 to <paramref name="words"/>.
    /// Two groups of eight side by side, so that one is multiplied while the other waits for its products.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Words(uint c0, uint c1, ulong* keys, uint* words)
    {
        // A counter in each lane of 64 bits; only the lower 32 mean anything, and only they are multiplied.
        var x0 = (Vector512.Create(c0) + Vector512<ulong>.Indices.AsUInt32()).AsUInt64();
        var z0 = x0 + Vector512.Create(8UL);
        Vector512<ulong> x1 = Vector512.Create((ulong)c1), x2 = Vector512<ulong>.Zero, x3 = x2, z1 = x1, z2 = x2, z3 = x2;
        // Two rounds in turn, so that no word is moved from one register to another.
        for (ulong* end = keys + KeyCount; keys < end; keys += 4)
        {
            Vector512<ulong> a = Multiply(x0, 0xD2511F53u), b = Multiply(x2, 0xCD9E8D57u), c = Multiply(z0, 0xD2511F53u), d = Multiply(z2, 0xCD9E8D57u);
            Vector512<ulong> k0 = Vector512.Create(keys[0]), k1 = Vector512.Create(keys[1]);
            x2 = (b >> 32) ^ x1 ^ k0;
            x0 = (a >> 32) ^ x3 ^ k1;
            z2 = (d >> 32) ^ z1 ^ k0;
            z0 = (c >> 32) ^ z3 ^ k1;
            (k0, k1) = (Vector512.Create(keys[2]), Vector512.Create(keys[3]));
            x3 = Multiply(x2, 0xD2511F53u);
            x1 = Multiply(x0, 0xCD9E8D57u);
            z3 = Multiply(z2, 0xD2511F53u);
            z1 = Multiply(z0, 0xCD9E8D57u);
            x0 = (x1 >> 32) ^ b ^ k0;
            x2 = (x3 >> 32) ^ a ^ k1;
            z0 = (z1 >> 32) ^ d ^ k0;
            z2 = (z3 >> 32) ^ c ^ k1;
        }
        Store(x0, x1, x2, x3, words);
        Store(z0, z1, z2, z3, words + WordsAtOnce / 2);
    }

    /// <summary>Words of eight counters, each in the lower half of a lane, to counter by counter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector512<ulong> x0, Vector512<ulong> x1, Vector512<ulong> x2, Vector512<ulong> x3, uint* words)
    {
        var word = Vector512.Create((ulong)uint.MaxValue);
        Vector512<ulong> even = (x0 & word) | (x1 << 32), odd = (x2 & word) | (x3 << 32);
        if (Vector512.IsHardwareAccelerated)
        {
            Interleave(even, odd, Vector512.Create(0UL, 0, 1, 1, 2, 2, 3, 3)).Store(words);
            Interleave(even, odd, Vector512.Create(4UL, 4, 5, 5, 6, 6, 7, 7)).Store(words + CpuVector.Width);
        }
        else
        {
            // A shuffle of 512 bits would go lane by lane there.
            Interleave(even.GetLower().GetLower(), odd.GetLower().GetLower(), words);
            Interleave(even.GetLower().GetUpper(), odd.GetLower().GetUpper(), words + 8);
            Interleave(even.GetUpper().GetLower(), odd.GetUpper().GetLower(), words + 16);
            Interleave(even.GetUpper().GetUpper(), odd.GetUpper().GetUpper(), words + 24);
        }
    }

    /// <summary>The lower 32 bits of each lane by a factor, to all 64.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Multiply(Vector512<ulong> x, uint factor)
    {
        if (Avx512F.IsSupported) return Avx512F.Multiply(x.AsUInt32(), Vector512.Create((ulong)factor).AsUInt32());
        if (Avx2.IsSupported)
        {
            var factors = Vector256.Create((ulong)factor).AsUInt32();
            return Vector512.Create(Avx2.Multiply(x.GetLower().AsUInt32(), factors), Avx2.Multiply(x.GetUpper().AsUInt32(), factors));
        }
        return (x & Vector512.Create((ulong)uint.MaxValue)) * Vector512.Create((ulong)factor);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Interleave(Vector512<ulong> even, Vector512<ulong> odd, Vector512<ulong> from) => Vector512.ConditionalSelect(
        Vector512.Create(ulong.MaxValue, 0, ulong.MaxValue, 0, ulong.MaxValue, 0, ulong.MaxValue, 0), Vector512.Shuffle(even, from), Vector512.Shuffle(odd, from)).AsUInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Interleave(Vector128<ulong> even, Vector128<ulong> odd, uint* words)
    {
        Vector128.Create(even[0], odd[0]).AsUInt32().Store(words);
        Vector128.Create(even[1], odd[1]).AsUInt32().Store(words + 4);
    }
}
