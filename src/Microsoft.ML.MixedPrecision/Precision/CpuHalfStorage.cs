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
    /// the bias and normalises subnormals for nothing. Only infinities and NaN (exponent 31) need the OR.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> ToSingle(Vector256<short> h)
    {
        var wide = Avx512F.IsSupported
            ? Avx512F.ConvertToVector512Int32(h)
            : Vector512.Create(Vector256.WidenLower(h), Vector256.WidenUpper(h));
        // Sign extension has copied the sign to bits 15..31, so after the shift bit 31 is the sign already.
        var bits = (wide << 13) & Vector512.Create(unchecked((int)0x8FFFE000));
        var value = bits.AsSingle() * Vector512.Create(5.192296858534828e33f); // 2^112
        var special = Vector512.GreaterThanOrEqual(Vector512.Abs(value), Vector512.Create(65536f));
        return value | (special & Vector512.Create(float.PositiveInfinity));
    }

    /// <summary>Round to nearest even. Three ranges, computed side by side and selected: no branches.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ushort> FromSingle(Vector512<float> value)
    {
        var bits = value.AsUInt32();
        var sign = (bits >> 16) & Vector512.Create(0x8000u);
        var magnitude = bits & Vector512.Create(0x7FFFFFFFu);

        // Normal: re-bias (-112 << 23) and add half an ulp less one, plus the odd bit: ties go to even.
        // A carry out of the mantissa goes into the exponent, which is also how 65520 becomes infinity.
        var odd = (magnitude >> 13) & Vector512<uint>.One;
        var normal = (magnitude + Vector512.Create(0xC8000FFFu) + odd) >> 13;

        // Below 2^-14: adding 0.5 makes the adder round at 2^-24, the subnormal step.
        var half = Vector512.Create(0.5f);
        var small = (magnitude.AsSingle() + half).AsUInt32() - half.AsUInt32();

        // 2^16 and above is infinity; NaN keeps a quiet bit.
        var isNaN = Vector512.GreaterThan(magnitude, Vector512.Create(0x7F800000u));
        var special = Vector512.ConditionalSelect(isNaN, Vector512.Create(0x7E00u), Vector512.Create(0x7C00u));

        var result = Vector512.ConditionalSelect(Vector512.LessThan(magnitude, Vector512.Create(0x38800000u)), small, normal);
        result = Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(magnitude, Vector512.Create(0x47800000u)), special, result);
        result |= sign;
        return Avx512F.IsSupported
            ? Avx512F.ConvertToVector256UInt16(result)
            : Vector256.Narrow(result.GetLower(), result.GetUpper());
    }
}
