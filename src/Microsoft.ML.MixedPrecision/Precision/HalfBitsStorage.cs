using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Half precision as raw bits, converted by integer arithmetic: for devices that have no FP16 type at all (OpenCL without
/// cl_khr_fp16). The same bits as <see cref="HalfStorage"/> for every value but NaN, which may differ in its payload.
/// </summary>
internal readonly struct HalfBitsStorage : IStorage<ushort>, IHalfBits
{
    private const uint Sign = 0x8000;
    private const uint SingleInfinity = 0x7F80_0000;
    private const uint Infinity = 0x7C00, QuietNaN = 0x7E00;

    /// <summary>65520, halfway between the largest half and the power of two after it: from here on all rounds to infinity.</summary>
    private const uint Overflow = 0x477F_F000;

    /// <summary>2^-14, the smallest normal half.</summary>
    private const uint SmallestNormal = 0x3880_0000;

    /// <summary>The difference of the exponents' biases, 127 - 15, in place.</summary>
    private const uint Rebias = 112u << 23;

    /// <summary>0.5: the unit in its last place is 2^-24, which is the step of the subnormal halves.</summary>
    private const float SubnormalMagic = 0.5f;

    public static float Load(ushort value) => FromBits(value);
    public static ushort Store(float value) => (ushort)ToBits(value);
    public static Quad Load4(ArrayView<ushort> from, int place) => HalfVector.Load4<ushort, HalfBitsStorage>(from, place);
    public static Vector8 Load8(ArrayView<ushort> from, int place) => HalfVector.Load<ushort, HalfBitsStorage>(from, place);
    public static void Store8(ArrayView<ushort> to, int place, Vector8 values) => HalfVector.Store<ushort, HalfBitsStorage>(to, place, values);

    public static float FromBits(uint bits)
    {
        uint sign = (bits & Sign) << 16, magnitude = bits & 0x7FFF;
        // Subnormals: so many steps of 2^-24, exact in FP32. Normals: the exponent rebiased. Infinity and NaN: all ones.
        uint small = Interop.FloatAsInt((int)magnitude * 5.9604644775390625e-8f);
        uint normal = (magnitude << 13) + Rebias, special = (magnitude << 13) | SingleInfinity;
        uint result = magnitude < 0x0400 ? small : magnitude < Infinity ? normal : special;
        return Interop.IntAsFloat(sign | result);
    }

    public static uint Pack(float low, float high) => ToBits(low) | ToBits(high) << 16;

    private static uint ToBits(float value)
    {
        uint bits = Interop.FloatAsInt(value);
        uint sign = (bits >> 16) & Sign, magnitude = bits & 0x7FFF_FFFF;
        // Below 2^-14 the addition of 0.5 rounds to a multiple of 2^-24, ties to even, and leaves it in the low bits.
        float tiny = Interop.IntAsFloat(magnitude < SmallestNormal ? magnitude : 0u);
        uint small = Interop.FloatAsInt(tiny + SubnormalMagic) - Interop.FloatAsInt(SubnormalMagic);
        // Half of the unit in the last place, less one where that place is even: ties go to even, a carry into the exponent is right.
        uint normal = (magnitude - Rebias + 0x0FFF + ((magnitude >> 13) & 1)) >> 13;
        uint special = magnitude > SingleInfinity ? QuietNaN : Infinity;
        uint result = magnitude < SmallestNormal ? small : magnitude < Overflow ? normal : special;
        return sign | result;
    }
}
