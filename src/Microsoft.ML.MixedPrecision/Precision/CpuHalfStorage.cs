using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MixedPrecision;

/// <summary>IEEE half on the CPU: sixteen at a time by integer arithmetic, since .NET 10 exposes no F16C class and a cast of one takes 1.7 to 2.4 ns.</summary>
internal readonly unsafe struct CpuHalfStorage : ICpuStorage<Half>
{
    private const int Width = CpuVector.Width;

    public static float Load(Half value) => (float)value;

    public static Half Store(float value) => (Half)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load16(Half* source) => ToSingle(Vector256.Load((short*)source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store16(Vector512<float> values, Half* target) => FromSingle(values).Store((ushort*)target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadWide(Half* source, float* target, int count)
    {
        int i = 0;
        do { Load16(source + i).Store(target + i); i += Width; } while (i < count);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Load(Half* source, float* target, int count)
    {
        int i = 0;
        for (; i <= count - Width; i += Width) Load16(source + i).Store(target + i);
        for (; i < count; i++) target[i] = (float)source[i];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Store(float* source, Half* target, int count)
    {
        int i = 0;
        for (; i <= count - Width; i += Width) Store16(Vector512.Load(source + i), target + i);
        for (; i < count; i++) target[i] = (Half)source[i];
    }

    /// <summary>
    /// Exponent and mantissa slide into the float's place with the wrong bias; one multiplication by 2^112 mends
    /// the bias and normalises subnormals. Only infinities and NaN (exponent 31) need the OR.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> ToSingle(Vector256<short> h)
    {
        var wide = Avx512F.IsSupported
            ? Avx512F.ConvertToVector512Int32(h)
            : Vector512.Create(Vector256.WidenLower(h), Vector256.WidenUpper(h));
        // Sign extension has copied the sign to bits 15..31, so after the shift bit 31 is the sign already.
        var bits = (wide << 13) & Vector512.Create(unchecked((int)0x8FFFE000));
        // A half below 2^-14 is a subnormal float here, at which a multiplication may stall (22 cycles on Zen 5); the other instruction does not.
        var value = Avx512F.IsSupported ? Avx512F.Scale(bits.AsSingle(), Vector512.Create(112f)) : bits.AsSingle() * Vector512.Create(5.192296858534828e33f);
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
    private static Vector256<ushort> FromSingle(Vector512<float> value)
    {
        var bits = value.AsUInt32();
        // From 65520 on a half is infinite, and 65536 rounds to that. NaN would pass the minimum on some machines only: see below.
        var magnitude = Vector512.MinNative((bits & Vector512.Create(0x7FFFFFFFu)).AsSingle(), Vector512.Create(65536f));
        var power = Vector512.Max(magnitude.AsUInt32() & Vector512.Create(0x7F800000u), Vector512.Create(0x38800000u)); // 2^e, at least 2^-14
        var rounded = (magnitude + (power + Vector512.Create(13u << 23)).AsSingle()).AsUInt32();
        // -(113 << 10), which takes the float's bias less 14 from the exponent, is 0x3C00 in the low 16 bits.
        var signAndBias = ((bits >> 16) & Vector512.Create(0x8000u)) | Vector512.Create(0x3C00u);
        var result = rounded + (power >> 13) + signAndBias;
        result = Vector512.ConditionalSelect(Vector512.IsNaN(value).AsUInt32(), (bits >> 16) | Vector512.Create(0x7E00u), result); // keeps its sign and a quiet bit
        return Avx512F.IsSupported
            ? Avx512F.ConvertToVector256UInt16(result)
            : Vector256.Narrow(result.GetLower(), result.GetUpper());
    }
}
