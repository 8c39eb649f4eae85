namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A counter-based generator: the i-th number is a function of (seed, stream, i) alone, so any thread of any device draws
/// the same ones in any order. Philox 4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
/// SC 2011). Only unsigned 32-bit arithmetic, so kernels call <see cref="Philox"/> too.
/// </summary>
/// <param name="seed">Of the whole training.</param>
/// <param name="stream">Of one use of it: a parameter, a dropout layer, an epoch's shuffle.</param>
internal readonly struct CounterRandom(uint seed, uint stream)
{
    private readonly uint _seed = seed, _stream = stream;

    public uint Bits(uint index) => Philox(index, 0, _seed, _stream).W0;

    /// <summary>The top 24 bits as a float in [0, 1).</summary>
    public static float ToUnit(uint bits) => (int)(bits >> 8) * (1f / 16777216f);

    /// <summary>Four words of Philox4x32-10 for the counter (c0, c1, 0, 0) and the key (k0, k1).</summary>
    public static RandomWords Philox(uint c0, uint c1, uint k0, uint k1)
    {
        uint c2 = 0, c3 = 0;
        for (int round = 0; round < 10; round++)
        {
            ulong first = 0xD2511F53UL * c0, second = 0xCD9E8D57UL * c2;
            uint n0 = (uint)(second >> 32) ^ c1 ^ k0;
            uint n2 = (uint)(first >> 32) ^ c3 ^ k1;
            c1 = (uint)second;
            c3 = (uint)first;
            c0 = n0;
            c2 = n2;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        return new RandomWords(c0, c1, c2, c3);
    }
}

/// <summary>What one counter gives.</summary>
internal readonly record struct RandomWords(uint W0, uint W1, uint W2, uint W3);
