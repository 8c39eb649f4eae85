using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Halves to floats and back in the lanes of a vector, by integer arithmetic: .NET 10 exposes no F16C class, and a cast of one takes 1.7 to
/// 2.4 ns.
/// </summary>
internal static class HalfLanes
{
    /// <summary>
    /// Exponent and mantissa slide into the float's place with the wrong bias; a scale of 2^112 mends the bias and normalises
    /// subnormals. Infinities and NaN (exponent 31) become finite values of 2^16 and more.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Finite(Vector256<short> h)
    {
        var wide = Avx512F.IsSupported
            ? Avx512F.ConvertToVector512Int32(h)
            : Vector512.Create(Vector256.WidenLower(h), Vector256.WidenUpper(h));
        // Sign extension has copied the sign to bits 15..31, so after the shift bit 31 is the sign already.
        var bits = (wide << 13) & Vector512.Create(unchecked((int)0x8FFFE000));
        return Rebias(bits);
    }

    /// <summary>The magnitudes of finite halves that lie in bits 13 to 27 of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Magnitude(Vector512<int> lanes) => Rebias(lanes & Vector512.Create(0x0FFFE000));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Rebias(Vector512<int> bits) =>
        // A half below 2^-14 is a subnormal float here, at which a multiplication may stall (22 cycles on Zen 5); the other instruction does not.
        Avx512F.IsSupported ? Avx512F.Scale(bits.AsSingle(), Vector512.Create(112f)) : bits.AsSingle() * Vector512.Create(5.192296858534828e33f);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> WithSpecials(Vector512<float> value)
    {
        var special = Vector512.GreaterThanOrEqual(Vector512.Abs(value), Vector512.Create(65536f));
        return Vector512.ConditionalSelect(special, value | Vector512.Create(float.PositiveInfinity), value); // one masked OR
    }

    /// <summary>
    /// Round to nearest even, with the adder as the rounder: |x| in [2^e, 2^(e+1)) plus 2^(e+13) has a last place of 2^(e-10), the
    /// half's; below 2^-14, where e stays -14, that is 2^-24, the subnormal's. The low bits of the sum are then the mantissa with
    /// its leading 1, and adding (e + 14) * 2^10 makes the half, carries and all. Only the low 16 bits are kept, so that what
    /// stands above them need not be cleared.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ushort> Round(Vector512<float> value)
    {
        var bits = value.AsUInt32();
        // From 65520 on a half is infinite, and 65536 rounds to that. NaN would pass the minimum on some machines only: see below.
        var magnitude = Vector512.MinNative((bits & Vector512.Create(0x7FFFFFFFu)).AsSingle(), Vector512.Create(65536f));
        var power = Vector512.Max(magnitude.AsUInt32() & Vector512.Create(0x7F800000u), Vector512.Create(0x38800000u)); // 2^e, at least 2^-14
        var rounded = (magnitude + (power + Vector512.Create((uint)Rounder)).AsSingle()).AsUInt32();
        var result = (rounded + (power >> 13)) ^ ((bits >> 16) & Vector512.Create(0x8000u));
        result = Vector512.ConditionalSelect(Vector512.IsNaN(value).AsUInt32(), (bits >> 16) | Vector512.Create(0x7E00u), result); // keeps its sign and a quiet bit
        return Low(result);
    }

    /// <summary>Lanes of 32 bits that are all ones or 0 in 16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ushort> Mask(Vector512<float> lanes) => Low(lanes.AsUInt32());

    /// <summary>16 bits in lanes of 32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Wide(Vector256<ushort> bits) => Avx512F.IsSupported
        ? Avx512F.ConvertToVector512UInt32(bits)
        : Vector512.Create(Vector256.WidenLower(bits), Vector256.WidenUpper(bits));

    /// <summary>The low 16 bits of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ushort> Low(Vector512<uint> lanes) => Avx512F.IsSupported
        ? Avx512F.ConvertToVector256UInt16(lanes)
        : Vector256.Narrow(lanes.GetLower(), lanes.GetUpper());

    /// <summary>
    /// From 2^e to what is added: 2^13 times as much, and in the last places -(113 &lt;&lt; 10), of which the low 16 bits are 0x3C00: it takes the
    /// float's bias less 14 from the exponent.
    /// </summary>
    private const int Rounder = (13 << 23) + 0x3C00;

    // The same for floats that are all in range, 32 at once: the adder keeps the sign, and the rest is done in lanes of 16 bits. 10 cycles on Zen 4 where two of the above
    // take 15. In expressions, since each local more in a loop makes the JIT leave more constants in memory.

    /// <summary>2^e with the sign of the float, at least 2^-14.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Power(Vector512<float> value) =>
        Vector512.Max(value.AsInt32() & Vector512.Create(0x7F800000), Vector512.Create(0x38800000)) | (value.AsInt32() & Vector512.Create(int.MinValue));

    /// <summary>The upper halves of 32 powers: all that is not 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<short> Upper(Vector512<int> low, Vector512<int> high) =>
        Avx512BW.PermuteVar32x16x2(low.AsInt16(), Vector512<short>.Indices * 2 + Vector512.Create((short)1), high.AsInt16());

    /// <summary>The larger of <paramref name="largest"/> and the powers' magnitudes, for <see cref="InRange(Vector512{ushort})"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<ushort> Larger(Vector512<ushort> largest, Vector512<short> upper) => Vector512.Max(largest, (upper + upper).AsUInt16()); // the sign drops out

    /// <summary>False where a float was infinite, NaN, or 2^16 and more.</summary>
    public static bool InRange(Vector512<ushort> largest) => Vector512.LessThanAll(largest, Vector512.Create((ushort)((127 + 16) << 8)));

    /// <param name="upper">Of both powers.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<short> Round(Vector512<float> low, Vector512<int> lowPower, Vector512<float> high, Vector512<int> highPower, Vector512<short> upper) =>
        (Avx512BW.PermuteVar32x16x2(Rounded(low, lowPower), Vector512<short>.Indices * 2, Rounded(high, highPower)) + (upper << 3)) ^ (upper & Vector512.Create(short.MinValue));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Rounded(Vector512<float> value, Vector512<int> power) => (value + (power + Vector512.Create(Rounder)).AsSingle()).AsInt16();

    // The same in vectors of 256 bits, 16 at once, for AVX2: lanes of 16 bits hold the first eight and the second eight in turn until the end.

    /// <inheritdoc cref="Power(Vector512{float})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Power(Vector256<float> value) =>
        Vector256.Max(value.AsInt32() & Vector256.Create(0x7F800000), Vector256.Create(0x38800000)) | (value.AsInt32() & Vector256.Create(int.MinValue));

    /// <summary>The upper halves of 16 powers, in turn: all that is not 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<short> Upper(Vector256<int> low, Vector256<int> high) => Avx2.Blend((low >>> 16).AsInt16(), high.AsInt16(), 0xAA);

    /// <inheritdoc cref="Larger(Vector512{ushort}, Vector512{short})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ushort> Larger(Vector256<ushort> largest, Vector256<short> upper) => Vector256.Max(largest, (upper + upper).AsUInt16());

    /// <inheritdoc cref="InRange(Vector512{ushort})"/>
    public static bool InRange(Vector256<ushort> largest) => Vector256.LessThanAll(largest, Vector256.Create((ushort)((127 + 16) << 8)));

    /// <param name="upper">Of both powers.</param>
    /// <returns>Those of <paramref name="low"/>, then those of <paramref name="high"/>.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<short> Round(Vector256<float> low, Vector256<int> lowPower, Vector256<float> high, Vector256<int> highPower, Vector256<short> upper)
    {
        var halves = (Avx2.Blend(Rounded(low, lowPower).AsInt16(), (Rounded(high, highPower) << 16).AsInt16(), 0xAA) + (upper << 3)) ^ (upper & Vector256.Create(short.MinValue));
        var apart = Avx2.Shuffle(halves.AsByte(), Vector256.Create((byte)0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
        return Avx2.Permute4x64(apart.AsInt64(), 0b11_01_10_00).AsInt16();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Rounded(Vector256<float> value, Vector256<int> power) => (value + (power + Vector256.Create(Rounder)).AsSingle()).AsInt32();
}
