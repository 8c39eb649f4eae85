using static System.BitConverter;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>setp and cvt.</summary>
internal static partial class PtxOperations
{
    private static readonly (string Name, Func<int, bool> Holds)[] Orders =
    [
        ("eq", c => c == 0), ("ne", c => c != 0), ("lt", c => c < 0), ("le", c => c <= 0), ("gt", c => c > 0), ("ge", c => c >= 0),
    ];

    private static void DefineComparisons()
    {
        foreach (var (name, holds) in Orders)
        {
            foreach (int bits in (int[])[16, 32, 64])
            {
                ulong mask = Mask(bits);
                Binary[$"setp.{name}.s{bits}"] = (a, b) => holds(Signed(a, bits).CompareTo(Signed(b, bits))) ? 1ul : 0;
                string unsigned = name switch { "lt" => "lo", "le" => "ls", "gt" => "hi", "ge" => "hs", _ => name };
                foreach (string spelling in (string[])[name, unsigned]) Binary[$"setp.{spelling}.u{bits}"] = (a, b) => holds((a & mask).CompareTo(b & mask)) ? 1ul : 0;
                if (name is "eq" or "ne") Binary[$"setp.{name}.b{bits}"] = Binary[$"setp.{name}.u{bits}"];
            }
            // A comparison with NaN is false, or true where the name ends in u.
            Binary[$"setp.{name}.f32"] = (a, b) => Compare(Float(a), Float(b), holds, withNaN: false);
            Binary[$"setp.{name}u.f32"] = (a, b) => Compare(Float(a), Float(b), holds, withNaN: true);
        }
        Binary["setp.num.f32"] = (a, b) => float.IsNaN(Float(a)) || float.IsNaN(Float(b)) ? 0ul : 1;
        Binary["setp.nan.f32"] = (a, b) => float.IsNaN(Float(a)) || float.IsNaN(Float(b)) ? 1ul : 0;
    }

    private static ulong Compare(float a, float b, Func<int, bool> holds, bool withNaN)
    {
        bool result = float.IsNaN(a) || float.IsNaN(b) ? withNaN : holds(a < b ? -1 : a > b ? 1 : 0);
        return result ? 1ul : 0;
    }

    private static void DefineConversions()
    {
        int[] widths = [8, 16, 32, 64];
        foreach (int from in widths)
        {
            ulong read = Mask(from);
            foreach (int to in widths)
            {
                ulong written = Mask(to);
                foreach (char kind in "us")
                {
                    Unary[$"cvt.{kind}{to}.s{from}"] = a => (ulong)Signed(a, from) & written;
                    Unary[$"cvt.{kind}{to}.u{from}"] = a => a & read & written;
                }
            }
            Unary[$"cvt.rn.f32.s{from}"] = a => Bits(Signed(a, from));
            Unary[$"cvt.rn.f32.u{from}"] = a => Bits(a & read);
            Unary[$"cvt.rn.f16.s{from}"] = a => HalfToUInt16Bits((Half)Signed(a, from));
            foreach (var (name, round) in Roundings)
            {
                Unary[$"cvt.{name}.s{from}.f32"] = a => (ulong)Saturate(round(Float(a)), -Math.Pow(2, from - 1), Math.Pow(2, from - 1), from) & read;
                Unary[$"cvt.{name}.u{from}.f32"] = a => SaturateUnsigned(round(Float(a)), from) & read;
            }
        }
        foreach (var (name, round) in Roundings) Unary[$"cvt.{name}.f32.f32"] = a => Bits((float)round(Float(a)));
        Unary["cvt.f32.f16"] = a => Bits((float)UInt16BitsToHalf((ushort)a));
        Unary["cvt.rn.f16.f32"] = a => HalfToUInt16Bits((Half)Float(a));
        // The first source goes to the high half.
        Binary["cvt.rn.f16x2.f32"] = (a, b) => (ulong)HalfToUInt16Bits((Half)Float(a)) << 16 | HalfToUInt16Bits((Half)Float(b));
    }

    private static readonly (string Name, Func<double, double> Round)[] Roundings =
    [
        ("rzi", Math.Truncate), ("rni", a => Math.Round(a, MidpointRounding.ToEven)), ("rmi", Math.Floor), ("rpi", Math.Ceiling),
    ];

    private static long Saturate(double value, double least, double end, int bits) =>
        double.IsNaN(value) ? 0 : value < least ? long.MinValue >> (64 - bits) : value >= end ? long.MaxValue >> (64 - bits) : (long)value;

    private static ulong SaturateUnsigned(double value, int bits) =>
        double.IsNaN(value) || value < 0 ? 0 : value >= Math.Pow(2, bits) ? Mask(bits) : (ulong)value;
}
