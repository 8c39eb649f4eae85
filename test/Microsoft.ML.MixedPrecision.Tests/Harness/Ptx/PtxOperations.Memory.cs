using System.Buffers.Binary;
using System.Numerics;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Loads, stores, addresses and asynchronous copies.</summary>
internal static partial class PtxOperations
{
    /// <summary>What says how to cache, and nothing about the value.</summary>
    private static readonly HashSet<string> CacheHints = ["nc", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "weak", "volatile", "L1::no_allocate", "L1::evict_last", "L1::evict_first", "L2::64B", "L2::128B", "L2::256B"];

    private static PtxOperation BindMemory(PtxInstruction instruction, PtxProgram program)
    {
        var o = instruction.Operands;
        switch (instruction.Name)
        {
            case "cvta.to.global.u64" or "cvta.global.u64":
                return (warp, lanes) => Apply(warp, lanes, o, a => a);
            case "cvta.shared.u64":
                return (warp, lanes) => Apply(warp, lanes, o, a => a + PtxMemory.SharedWindow);
            case "cvta.to.shared.u64":
                return (warp, lanes) => Apply(warp, lanes, o, a => a >= PtxMemory.SharedWindow ? a - PtxMemory.SharedWindow : throw new PtxFaultException($"address {a:X} is not one of shared memory"));
        }
        if (instruction.Parts[0] == "cp") return BindCopy(instruction);
        if (instruction.Parts[0] == "cvta") throw instruction.Unknown();
        var parts = instruction.Parts[1..^1].Where(p => !CacheHints.Contains(p)).ToList();
        string space = parts.Find(p => p is "param" or "global" or "shared" or "shared::cta") ?? "";
        parts.Remove(space);
        int count = parts is [] ? 1 : parts is ["v2"] ? 2 : parts is ["v4"] ? 4 : throw instruction.Unknown();
        int width = Width(instruction.Type) / 8;
        bool isLoad = instruction.Parts[0] == "ld";
        if (space == "param")
        {
            if (!isLoad || count != 1) throw instruction.Unknown();
            return (warp, lanes) => ForLanes(lanes, lane => warp[o[0]][lane] = warp.Group.Arguments.Load(Address(warp, o[1], lane), width));
        }
        var values = o[isLoad ? 0 : 1].Each;
        var address = o[isLoad ? 1 : 0];
        if (values.Length != count) throw instruction.Unknown();
        if (isLoad) return (warp, lanes) => ForLanes(lanes, lane => Load(warp, lane, space, Address(warp, address, lane), values, width));
        return (warp, lanes) => ForLanes(lanes, lane => Store(warp, lane, space, Address(warp, address, lane), values, width));
    }

    private static void ForLanes(uint lanes, Action<int> action)
    {
        for (; lanes != 0; lanes &= lanes - 1) action(BitOperations.TrailingZeroCount(lanes));
    }

    private static ulong Address(PtxWarp warp, PtxOperand operand, int lane) => warp[operand.Slot][lane] + (ulong)operand.Offset;

    private static bool IsShared(string space, ref ulong address)
    {
        if (space.StartsWith("shared", StringComparison.Ordinal)) return true;
        if (space == "global" || address < PtxMemory.SharedWindow) return false;
        address -= PtxMemory.SharedWindow;
        return true;
    }

    private static void Load(PtxWarp warp, int lane, string space, ulong address, PtxOperand[] to, int width)
    {
        int size = width * to.Length;
        ReadOnlySpan<byte> bytes = IsShared(space, ref address) ? warp.Group.Shared.Read(address, size, size, warp.FirstThread + lane) : warp.Group.Memory.Read(address, size, size, warp.FirstThread + lane);
        for (int i = 0; i < to.Length; i++) warp[to[i]][lane] = FromBytes(bytes.Slice(i * width, width));
    }

    private static void Store(PtxWarp warp, int lane, string space, ulong address, PtxOperand[] from, int width)
    {
        int size = width * from.Length;
        Span<byte> bytes = stackalloc byte[size + 8];
        for (int i = 0; i < from.Length; i++) BinaryPrimitives.WriteUInt64LittleEndian(bytes[(i * width)..], warp[from[i]][lane]);
        bytes = bytes[..size];
        if (IsShared(space, ref address)) warp.Group.Shared.Write(address, bytes, size, warp.FirstThread + lane);
        else warp.Group.Memory.Write(address, bytes, size, warp.FirstThread + lane);
    }

    private static ulong FromBytes(ReadOnlySpan<byte> bytes) => bytes.Length switch
    {
        1 => bytes[0],
        2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        _ => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
    };

    private static PtxOperation BindCopy(PtxInstruction instruction)
    {
        var o = instruction.Operands;
        if (instruction.Parts is not ["cp", "async", ..]) throw instruction.Unknown();
        switch (instruction.Name)
        {
            case "cp.async.commit_group":
                return (warp, lanes) => ForLanes(lanes, lane => warp.Group.CommitCopies(warp.FirstThread + lane));
            case "cp.async.wait_group":
                return (warp, lanes) => ForLanes(lanes, lane => warp.Group.WaitForCopies(warp.FirstThread + lane, (int)warp[o[0]][lane]));
            case "cp.async.wait_all":
                return (warp, lanes) => ForLanes(lanes, lane => warp.Group.WaitForCopies(warp.FirstThread + lane, -1));
        }
        var parts = instruction.Parts[2..].ToList();
        parts.RemoveAll(p => p.StartsWith("L2::", StringComparison.Ordinal));
        if (parts is not ["ca" or "cg", "shared" or "shared::cta", "global"] || o.Length is not (3 or 4)) throw instruction.Unknown();
        bool needs16 = parts[0] == "cg";
        return (warp, lanes) => ForLanes(lanes, lane =>
        {
            int size = (int)warp[o[2]][lane], valid = o.Length > 3 ? (int)warp[o[3]][lane] : size;
            if (size is not (4 or 8 or 16) || (needs16 && size != 16)) throw new PtxFaultException($"cp.async cannot copy {size} bytes");
            warp.Group.StartCopy(warp.FirstThread + lane, Address(warp, o[0], lane), Address(warp, o[1], lane), size, valid);
        });
    }
}
