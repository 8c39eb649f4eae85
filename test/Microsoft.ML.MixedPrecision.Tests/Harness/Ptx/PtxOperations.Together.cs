using System.Buffers.Binary;
using System.Numerics;
using static System.BitConverter;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What the lanes of a warp do jointly: shuffles, and products of matrices that lie across the lanes' registers.</summary>
internal static partial class PtxOperations
{
    private const uint AllLanes = uint.MaxValue;

    private static PtxOperation BindTogether(PtxInstruction instruction)
    {
        switch (instruction.Parts)
        {
            case ["bar", "warp", "sync"]:
                return (warp, _) => warp.Group.Shared.WarpBarrier(warp.Index);
            case ["shfl", "sync", var mode and ("up" or "down" or "bfly" or "idx"), "b32"]:
                return (warp, lanes) => Shuffle(warp, lanes, mode, instruction.Operands);
            case ["ldmatrix", "sync", "aligned", "m8n8", "x1" or "x2" or "x4", .. var rest, "b16"] when rest is ["shared"] or ["shared::cta"] or ["trans", "shared"] or ["trans", "shared::cta"]:
                return (warp, lanes) => LoadMatrices(warp, lanes, instruction, rest[0] == "trans");
            case ["mma", "sync", "aligned", "m16n8k16" or "m16n8k8", "row", "col", "f32", "f16", "f16", "f32"]:
            case ["mma", "sync", "aligned", "m16n8k16" or "m16n8k8", "row", "col", "f16", "f16", "f16", "f16"]:
                return (warp, lanes) => MultiplyAdd(warp, lanes, instruction.Operands, instruction.Parts[3] == "m16n8k16" ? 16 : 8, instruction.Type == "f32");
            default:
                throw instruction.Unknown();
        }
    }

    private static void Shuffle(PtxWarp warp, uint lanes, string mode, PtxOperand[] o)
    {
        var to = o[0].Each;
        Span<ulong> values = stackalloc ulong[32];
        warp[o[1]].CopyTo(values);
        for (uint rest = lanes; rest != 0; rest &= rest - 1)
        {
            int lane = BitOperations.TrailingZeroCount(rest);
            if (((uint)warp[o[4]][lane] >> lane & 1) == 0) throw new PtxFaultException($"lane {lane} shuffles and is not in its mask");
            int b = (int)warp[o[2]][lane] & 31, c = (int)warp[o[3]][lane], segment = c >> 8 & 31;
            int last = (lane & segment) | (c & 31 & ~segment);
            int source = mode switch { "up" => lane - b, "down" => lane + b, "bfly" => lane ^ b, _ => (lane & segment) | (b & ~segment) };
            bool inside = mode == "up" ? source >= last : source <= last;
            if (!inside) source = lane;
            if ((lanes >> source & 1) == 0) throw new PtxFaultException($"lane {lane} shuffles with lane {source}, which has ended");
            warp[to[0]][lane] = values[source];
            if (to.Length > 1) warp[to[1]][lane] = inside ? 1ul : 0;
        }
    }

    /// <summary>Lane l of each eight gives the address of row l % 8 of matrix l / 8; lane l gets elements 2 (l % 4) and the next of row l / 4, transposed or not.</summary>
    private static void LoadMatrices(PtxWarp warp, uint lanes, PtxInstruction instruction, bool transposed)
    {
        ExpectAll(lanes);
        var to = instruction.Operands[0].Each;
        if (instruction.Parts[4] != $"x{to.Length}") throw instruction.Unknown();
        Span<ushort> elements = stackalloc ushort[4 * 64];
        for (int lane = 0; lane < 8 * to.Length; lane++)
        {
            ulong address = Address(warp, instruction.Operands[1], lane);
            if (address >= PtxMemory.SharedWindow) throw new PtxFaultException("ldmatrix.shared with a generic address");
            var row = warp.Group.Shared.Read(address, 16, 16, warp.FirstThread + lane);
            for (int i = 0; i < 8; i++) elements[lane * 8 + i] = BinaryPrimitives.ReadUInt16LittleEndian(row[(2 * i)..]);
        }
        for (int lane = 0; lane < 32; lane++)
        {
            int row = lane / 4, pair = lane % 4 * 2;
            for (int m = 0; m < to.Length; m++)
            {
                int low = transposed ? m * 64 + pair * 8 + row : m * 64 + row * 8 + pair, high = low + (transposed ? 8 : 1);
                warp[to[m]][lane] = elements[low] | (ulong)elements[high] << 16;
            }
        }
    }

    /// <summary>
    /// D[16, 8] = A[16, k] * B[k, 8] + C[16, 8]. Lane l has of A rows l / 4 and l / 4 + 8, columns 2 (l % 4), the next, and for k = 16
    /// those plus 8; of B the same k in column l / 4; of C and D rows as of A, columns 2 (l % 4) and the next. Summed in k's order;
    /// hardware adds in an order of its own, with more bits.
    /// </summary>
    private static void MultiplyAdd(PtxWarp warp, uint lanes, PtxOperand[] o, int depth, bool wide)
    {
        ExpectAll(lanes);
        PtxOperand[] d = o[0].Each, a = o[1].Each, b = o[2].Each, c = o[3].Each;
        int sums = wide ? 4 : 2;
        if (d.Length != sums || c.Length != sums || a.Length != depth / 4 || b.Length != depth / 8) throw new PtxFaultException("mma with another number of registers");
        Span<float> left = stackalloc float[16 * 16], right = stackalloc float[16 * 8], total = stackalloc float[16 * 8];
        for (int lane = 0; lane < 32; lane++)
        {
            int group = lane / 4, pair = lane % 4 * 2;
            for (int half = 0; half < 2; half++)
            {
                for (int i = 0; i < a.Length; i++) left[(group + i % 2 * 8) * 16 + pair + half + i / 2 * 8] = Half(warp, a[i], lane, half);
                for (int i = 0; i < b.Length; i++) right[(pair + half + i * 8) * 8 + group] = Half(warp, b[i], lane, half);
                for (int i = 0; i < 2; i++) total[(group + i * 8) * 8 + pair + half] = wide ? Float(warp[c[i * 2 + half]][lane]) : Half(warp, c[i], lane, half);
            }
        }
        for (int row = 0; row < 16; row++)
        {
            for (int column = 0; column < 8; column++)
            {
                float sum = total[row * 8 + column];
                for (int k = 0; k < depth; k++) sum += left[row * 16 + k] * right[k * 8 + column];
                total[row * 8 + column] = sum;
            }
        }
        for (int lane = 0; lane < 32; lane++)
        {
            for (int i = 0; i < 2; i++)
            {
                int at = (lane / 4 + i * 8) * 8 + lane % 4 * 2;
                if (!wide)
                {
                    warp[d[i]][lane] = HalfToUInt16Bits((Half)total[at]) | (ulong)HalfToUInt16Bits((Half)total[at + 1]) << 16;
                    continue;
                }
                warp[d[i * 2]][lane] = Bits(total[at]);
                warp[d[i * 2 + 1]][lane] = Bits(total[at + 1]);
            }
        }
    }

    private static float Half(PtxWarp warp, PtxOperand operand, int lane, int half) => (float)UInt16BitsToHalf((ushort)(warp[operand][lane] >> (16 * half)));

    private static void ExpectAll(uint lanes)
    {
        if (lanes != AllLanes) throw new PtxFaultException("a part of a warp does what only a whole one can");
    }
}
