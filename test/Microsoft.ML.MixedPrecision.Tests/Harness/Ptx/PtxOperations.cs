using System.Numerics;
using static System.BitConverter;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// What each instruction does: arithmetic, conversions and comparisons. The full name with all modifiers is the key, so that
/// nothing is taken for what it is not. Registers hold values zero-extended to 64 bits.
/// </summary>
internal static partial class PtxOperations
{
    private static readonly Dictionary<string, Func<ulong, ulong>> Unary = [];
    private static readonly Dictionary<string, Func<ulong, ulong, ulong>> Binary = [];
    private static readonly Dictionary<string, Func<ulong, ulong, ulong, ulong>> Ternary = [];

    static PtxOperations()
    {
        DefineIntegers();
        DefineFloats();
        DefineComparisons();
        DefineConversions();
    }

    /// <summary>The instruction's work on a warp.</summary>
    public static PtxOperation Bind(PtxInstruction instruction, PtxProgram program)
    {
        var o = instruction.Operands;
        if (Unary.TryGetValue(instruction.Name, out var unary) && o.Length == 2) return (warp, lanes) => Apply(warp, lanes, o, unary);
        if (Binary.TryGetValue(instruction.Name, out var binary) && o.Length == 3) return (warp, lanes) => Apply(warp, lanes, o, binary);
        if (Ternary.TryGetValue(instruction.Name, out var ternary) && o.Length == 4) return (warp, lanes) => Apply(warp, lanes, o, ternary);
        return instruction.Parts[0] switch
        {
            "mov" => BindMove(instruction),
            "ld" or "st" or "cvta" or "cp" => BindMemory(instruction, program),
            "shfl" or "ldmatrix" or "mma" or "bar" => BindTogether(instruction),
            "wgmma" or "fence" => BindWarpGroup(instruction),
            _ => throw instruction.Unknown(),
        };
    }

    private static void Apply(PtxWarp warp, uint lanes, PtxOperand[] o, Func<ulong, ulong> f)
    {
        Span<ulong> to = warp[o[0]], a = warp[o[1]];
        for (; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            to[lane] = f(a[lane]);
        }
    }

    private static void Apply(PtxWarp warp, uint lanes, PtxOperand[] o, Func<ulong, ulong, ulong> f)
    {
        Span<ulong> to = warp[o[0]], a = warp[o[1]], b = warp[o[2]];
        for (; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            to[lane] = f(a[lane], b[lane]);
        }
    }

    private static void Apply(PtxWarp warp, uint lanes, PtxOperand[] o, Func<ulong, ulong, ulong, ulong> f)
    {
        Span<ulong> to = warp[o[0]], a = warp[o[1]], b = warp[o[2]], c = warp[o[3]];
        for (; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            to[lane] = f(a[lane], b[lane], c[lane]);
        }
    }

    /// <summary>mov copies, packs {low, high} into a register, or takes one apart.</summary>
    private static PtxOperation BindMove(PtxInstruction instruction)
    {
        if (instruction.Parts is not [_, "b16" or "b32" or "b64" or "u16" or "u32" or "u64" or "s16" or "s32" or "s64" or "f32" or "f64" or "pred"]) throw instruction.Unknown();
        var o = instruction.Operands;
        PtxOperand[] to = o[0].Each, from = o[1].Each;
        if (to.Length == 1 && from.Length == 1)
        {
            ulong mask = instruction.Type == "pred" ? 1 : Mask(Width(instruction.Type));
            return (warp, lanes) => Apply(warp, lanes, o, x => x & mask);
        }
        int bits = Width(instruction.Type) / Math.Max(to.Length, from.Length);
        return (warp, lanes) =>
        {
            for (; lanes != 0; lanes &= lanes - 1)
            {
                int lane = BitOperations.TrailingZeroCount(lanes);
                ulong value = 0;
                for (int i = 0; i < from.Length; i++) value |= (from.Length == 1 ? warp[from[i]][lane] : warp[from[i]][lane] & Mask(bits)) << (i * bits);
                for (int i = 0; i < to.Length; i++) warp[to[i]][lane] = to.Length == 1 ? value : value >> (i * bits) & Mask(bits);
            }
        };
    }

    /// <summary>Bits of a type: 32 for "f32".</summary>
    private static int Width(string type) => type switch
    {
        "f16x2" => 32,
        "b8" or "u8" or "s8" => 8,
        "b16" or "u16" or "s16" or "f16" => 16,
        "b32" or "u32" or "s32" or "f32" => 32,
        "b64" or "u64" or "s64" or "f64" => 64,
        _ => throw new PtxFaultException($"PtxMachine does not know the type '{type}'."),
    };

    private static ulong Mask(int bits) => bits >= 64 ? ulong.MaxValue : (1ul << bits) - 1;

    private static long Signed(ulong value, int bits) => (long)(value << (64 - bits)) >> (64 - bits);

    private static float Float(ulong bits) => UInt32BitsToSingle((uint)bits);

    private static ulong Bits(float value) => SingleToUInt32Bits(value);

    private static void DefineIntegers()
    {
        foreach (int bits in (int[])[16, 32, 64])
        {
            ulong mask = Mask(bits);
            foreach (string type in (string[])[$"u{bits}", $"s{bits}"])
            {
                Binary[$"add.{type}"] = (a, b) => (a + b) & mask;
                Binary[$"sub.{type}"] = (a, b) => (a - b) & mask;
                Binary[$"mul.lo.{type}"] = (a, b) => a * b & mask;
                Ternary[$"mad.lo.{type}"] = (a, b, c) => (a * b + c) & mask;
            }
            Binary[$"mul.hi.s{bits}"] = (a, b) => (ulong)((Int128)Signed(a, bits) * Signed(b, bits) >> bits) & mask;
            Binary[$"mul.hi.u{bits}"] = (a, b) => (ulong)((UInt128)(a & mask) * (b & mask) >> bits) & mask;
            Binary[$"div.s{bits}"] = (a, b) => (ulong)((Int128)Signed(a, bits) / Divisor(Signed(b, bits))) & mask;
            Binary[$"rem.s{bits}"] = (a, b) => (ulong)((Int128)Signed(a, bits) % Divisor(Signed(b, bits))) & mask;
            Binary[$"div.u{bits}"] = (a, b) => (a & mask) / (ulong)Divisor((long)(b & mask));
            Binary[$"rem.u{bits}"] = (a, b) => (a & mask) % (ulong)Divisor((long)(b & mask));
            Binary[$"min.s{bits}"] = (a, b) => (ulong)Math.Min(Signed(a, bits), Signed(b, bits)) & mask;
            Binary[$"max.s{bits}"] = (a, b) => (ulong)Math.Max(Signed(a, bits), Signed(b, bits)) & mask;
            Binary[$"min.u{bits}"] = (a, b) => Math.Min(a & mask, b & mask);
            Binary[$"max.u{bits}"] = (a, b) => Math.Max(a & mask, b & mask);
            Unary[$"neg.s{bits}"] = a => (0 - a) & mask;
            Unary[$"abs.s{bits}"] = a => (ulong)(Signed(a, bits) < 0 ? -Signed(a, bits) : Signed(a, bits)) & mask;
            Unary[$"not.b{bits}"] = a => ~a & mask;
            Binary[$"shl.b{bits}"] = (a, b) => b >= (ulong)bits ? 0 : a << (int)b & mask;
            foreach (string type in (string[])[$"u{bits}", $"b{bits}"]) Binary[$"shr.{type}"] = (a, b) => b >= (ulong)bits ? 0 : (a & mask) >> (int)b;
            Binary[$"shr.s{bits}"] = (a, b) => (ulong)(Signed(a, bits) >> (int)Math.Min(b, (ulong)bits - 1)) & mask;
            foreach (char kind in "bus") Ternary[$"selp.{kind}{bits}"] = (a, b, p) => p != 0 ? a & mask : b & mask;
        }
        Ternary["selp.f32"] = (a, b, p) => p != 0 ? a : b;
        Binary["mul.wide.u32"] = (a, b) => (ulong)(uint)a * (uint)b;
        Binary["mul.wide.s32"] = (a, b) => (ulong)((long)(int)a * (int)b);
        Ternary["mad.wide.u32"] = (a, b, c) => (ulong)(uint)a * (uint)b + c;
        Ternary["mad.wide.s32"] = (a, b, c) => (ulong)((long)(int)a * (int)b) + c;
        Unary["popc.b32"] = a => (ulong)BitOperations.PopCount(a);
        Unary["clz.b32"] = a => (ulong)BitOperations.LeadingZeroCount((uint)a);
        foreach (int bits in (int[])[1, 16, 32, 64])
        {
            string type = bits == 1 ? "pred" : $"b{bits}";
            ulong mask = Mask(bits);
            Binary[$"and.{type}"] = (a, b) => a & b & mask;
            Binary[$"or.{type}"] = (a, b) => (a | b) & mask;
            Binary[$"xor.{type}"] = (a, b) => (a ^ b) & mask;
        }
        Unary["not.pred"] = a => a ^ 1;
    }

    private static long Divisor(long value) => value != 0 ? value : throw new PtxFaultException("division by zero");

    private static void DefineFloats()
    {
        void One(string name, Func<float, float> f) => Unary[name] = a => Bits(f(Float(a)));
        void Two(string name, Func<float, float, float> f) => Binary[name] = (a, b) => Bits(f(Float(a), Float(b)));
        foreach (string rounding in (string[])["", ".rn"])
        {
            Two($"add{rounding}.f32", (a, b) => a + b);
            Two($"sub{rounding}.f32", (a, b) => a - b);
            Two($"mul{rounding}.f32", (a, b) => a * b);
        }
        foreach (string kind in (string[])["rn", "full", "approx"]) Two($"div.{kind}.f32", (a, b) => a / b);
        // A NaN gives way to a number.
        Two("min.f32", float.MinNumber);
        Two("max.f32", float.MaxNumber);
        Ternary["fma.rn.f32"] = (a, b, c) => Bits(MathF.FusedMultiplyAdd(Float(a), Float(b), Float(c)));
        One("neg.f32", a => -a);
        One("abs.f32", MathF.Abs);
        foreach (string kind in (string[])["rn", "approx"])
        {
            One($"rcp.{kind}.f32", a => 1f / a);
            One($"sqrt.{kind}.f32", MathF.Sqrt);
        }
        One("rsqrt.approx.f32", a => (float)(1.0 / Math.Sqrt(a)));
        One("ex2.approx.f32", a => (float)Math.Pow(2.0, a));
        One("lg2.approx.f32", a => (float)Math.Log2(a));
        One("sin.approx.f32", MathF.Sin);
        One("cos.approx.f32", MathF.Cos);
        One("tanh.approx.f32", MathF.Tanh);
        Two("copysign.f32", (a, b) => MathF.CopySign(b, a)); // the sign of the first, the rest of the second
        void Test(string name, Func<float, bool> f) => Unary[$"testp.{name}.f32"] = a => f(Float(a)) ? 1ul : 0;
        Test("finite", float.IsFinite);
        Test("infinite", float.IsInfinity);
        Test("number", a => !float.IsNaN(a));
        Test("notanumber", float.IsNaN);
        Test("normal", float.IsNormal);
        Test("subnormal", float.IsSubnormal);
    }
}
