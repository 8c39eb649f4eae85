using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// The SIMD conversions against .NET's own casts, which round to nearest even. Conversions of many elements have two ways, one for
/// values in range and one with care: each is tested with values that take it.
/// </summary>
[TestClass, TestCategory("VectorWidth")]
public sealed unsafe class CpuStorageTests
{
    [TestMethod]
    [DataRow(false, DisplayName = "all")]
    [DataRow(true, DisplayName = "finite")]
    public void Every_half_becomes_the_float_it_stands_for(bool finite)
    {
        var halves = AllHalves().Where(h => !finite || Half.IsFinite(h)).ToArray();
        var floats = new float[halves.Length];
        var wide = new float[halves.Length + CpuVector.Width];
        fixed (Half* from = halves)
        fixed (float* to = floats, toWide = wide)
        {
            CpuHalfStorage.Load(from, to, halves.Length);
            CpuHalfStorage.LoadWide(from, toWide, halves.Length);
        }
        for (int i = 0; i < halves.Length; i++)
        {
            Same((float)halves[i], floats[i], i);
            Same((float)halves[i], wide[i], i);
            Same((float)halves[i], CpuHalfStorage.Load(halves[i]), i);
        }
    }

    [TestMethod]
    public void Halves_are_selected_as_they_are_stored()
    {
        var halves = AllHalves(); // NaN with every payload, both zeros
        var selected = new Half[halves.Length];
        var where = Vector512.GreaterThan(Vector512<int>.Indices & Vector512.Create(3), Vector512<int>.Zero).AsSingle(); // all but every fourth
        fixed (Half* from = halves, to = selected)
            for (int i = 0; i < halves.Length; i += CpuVector.Width) CpuHalfStorage.Select16(from + i, where, to + i);
        for (int i = 0; i < halves.Length; i++)
            Assert.AreEqual(i % 4 == 0 ? 0 : BitConverter.HalfToUInt16Bits(halves[i]), BitConverter.HalfToUInt16Bits(selected[i]), $"pattern {i:X4}");
    }

    [TestMethod]
    public void Every_half_survives_a_round_trip()
    {
        var halves = AllHalves();
        var floats = halves.Select(h => (float)h).ToArray();
        var back = Store(floats);
        for (int i = 0; i < halves.Length; i++)
        {
            if (Half.IsNaN(halves[i])) Assert.IsTrue(Half.IsNaN(back[i]), $"pattern {i:X4}");
            else Assert.AreEqual(BitConverter.HalfToUInt16Bits(halves[i]), BitConverter.HalfToUInt16Bits(back[i]), $"pattern {i:X4}");
        }
    }

    [TestMethod]
    [DataRow(false, DisplayName = "all")]
    [DataRow(true, DisplayName = "in range")]
    public void Ties_and_their_neighbours_round_as_a_cast_does(bool inRange)
    {
        // Around the middle between each two neighbouring halves, where rounding decides; and around the ends of the range.
        var floats = new List<float> { 65504f, 65519.996f, 65520f, 65536f, float.MaxValue, float.PositiveInfinity, float.NaN, float.Epsilon, 0f };
        for (int i = 0; i < 0x7BFF; i++)
        {
            float middle = ((float)BitConverter.UInt16BitsToHalf((ushort)i) + (float)BitConverter.UInt16BitsToHalf((ushort)(i + 1))) / 2;
            floats.AddRange([middle, MathF.BitIncrement(middle), MathF.BitDecrement(middle)]);
        }
        floats.AddRange(floats.Select(f => -f).ToArray());
        if (inRange) floats.RemoveAll(f => !(MathF.Abs(f) < 65536f));
        var stored = Store([.. floats]);
        for (int i = 0; i < stored.Length; i++)
        {
            var expected = (Half)floats[i];
            if (Half.IsNaN(expected)) Assert.IsTrue(Half.IsNaN(stored[i]), $"{floats[i]:R}");
            else Assert.AreEqual(BitConverter.HalfToUInt16Bits(expected), BitConverter.HalfToUInt16Bits(stored[i]), $"{floats[i]:R}");
        }
    }

    [TestMethod]
    [DataRow(0f)]
    [DataRow(65536f)]
    [DataRow(float.NegativeInfinity)]
    [DataRow(float.NaN)]
    public void Lines_are_stored_where_they_belong_and_loaded_from_there(float odd)
    {
        const int stride = 40, pitch = 37;
        foreach (int lines in (int[])[1, 2, 5, 8])
        {
            foreach (int count in (int[])[16, 32])
            {
                var floats = Enumerable.Range(0, lines * stride).Select(i => (i % 7 - 3) * MathF.Pow(2, i % 34 - 26)).ToArray();
                floats[(lines - 1) * stride + count - 1] = odd;
                var halves = new Half[lines * pitch];
                var back = new float[lines * stride];
                Array.Fill(halves, (Half)7f);
                fixed (float* f = floats, b = back)
                fixed (Half* h = halves)
                {
                    CpuHalfStorage.StoreLines(f, stride, lines, h, pitch, count);
                    CpuHalfStorage.LoadLines(h, pitch, lines, b, stride, count);
                }
                for (int line = 0; line < lines; line++)
                    for (int i = 0; i < pitch; i++)
                    {
                        var expected = i < count ? (Half)floats[line * stride + i] : (Half)7f;
                        Same((float)expected, (float)halves[line * pitch + i], i);
                        if (i < count) Same((float)expected, back[line * stride + i], i);
                    }
            }
        }
    }

    [TestMethod]
    public void Squares_of_finite_halves_add_up_and_others_are_noticed_wherever_they_are()
    {
        var halves = AllHalves().Where(Half.IsFinite).ToArray();
        double expected = halves.Sum(h => (double)h * (double)h);
        Assert.AreEqual(expected, SquareSum(halves), 1e-5 * expected);
        for (int i = 0; i < 39; i++)
        {
            foreach (var bad in (Half[])[Half.PositiveInfinity, Half.NegativeInfinity, Half.NaN])
            {
                var some = halves[..71];
                some[32 + i] = bad;
                Assert.IsFalse(float.IsFinite(SquareSum(some)), $"{bad} at {i}");
            }
        }
    }

    [TestMethod]
    public void Nothing_beyond_the_count_is_written()
    {
        for (int count = 0; count <= 2 * CpuVector.Width + 1; count++)
        {
            var halves = new Half[64];
            var floats = new float[64];
            Array.Fill(halves, (Half)7f);
            Array.Fill(floats, 9f);
            var source = new Half[64];
            var values = new float[64];
            fixed (Half* h = halves, s = source)
            fixed (float* f = floats, v = values)
            {
                CpuHalfStorage.Store(v, h, count);
                CpuHalfStorage.Load(s, f, count);
            }
            Assert.AreEqual(64 - count, halves.Count(x => x == (Half)7f));
            Assert.AreEqual(64 - count, floats.Count(x => x == 9f));
        }
    }

    [TestMethod]
    public void Tails_are_padded_with_zeros_and_written_no_further()
    {
        for (int count = 0; count < CpuVector.Width; count++)
        {
            var halves = new Half[CpuVector.Width];
            Array.Fill(halves, (Half)3f);
            fixed (Half* h = halves)
            {
                var loaded = CpuVector.Load<Half, CpuHalfStorage>(h, count);
                for (int i = 0; i < CpuVector.Width; i++) Assert.AreEqual(i < count ? 3f : 0f, loaded[i]);
                CpuVector.Store<Half, CpuHalfStorage>(Vector512.Create(5f), h, count);
            }
            Assert.AreEqual(count, halves.Count(x => x == (Half)5f));
        }
    }

    private static Half[] AllHalves() => [.. Enumerable.Range(0, 65536).Select(i => BitConverter.UInt16BitsToHalf((ushort)i))];

    private static Half[] Store(float[] floats)
    {
        var halves = new Half[floats.Length];
        fixed (float* from = floats)
        fixed (Half* to = halves) CpuHalfStorage.Store(from, to, floats.Length);
        return halves;
    }

    private static float SquareSum(Half[] halves)
    {
        fixed (Half* h = halves) return CpuHalfStorage.SquareSum(h, halves.Length);
    }

    private static void Same(float expected, float actual, int pattern)
    {
        if (float.IsNaN(expected)) Assert.IsTrue(float.IsNaN(actual), $"pattern {pattern:X4}");
        else Assert.AreEqual(BitConverter.SingleToUInt32Bits(expected), BitConverter.SingleToUInt32Bits(actual), $"pattern {pattern:X4}");
    }
}
