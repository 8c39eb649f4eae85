using System.Globalization;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What four warps of a Hopper GPU do jointly, and the fence before it.</summary>
internal static partial class PtxOperations
{
    private static PtxOperation BindWarpGroup(PtxInstruction instruction)
    {
        var o = instruction.Operands;
        switch (instruction.Parts)
        {
            case ["fence", "proxy", "async"] or ["fence", "proxy", "async", "shared::cta"]:
                return (warp, lanes) => ForLanes(lanes, lane => warp.Group.Shared.Publish(warp.FirstThread + lane));
            case ["wgmma", "fence", "sync", "aligned"]:
                return (warp, _) => warp.Group.WarpGroupOf(warp).Fence();
            case ["wgmma", "commit_group", "sync", "aligned"]:
                return (warp, _) => warp.Group.WarpGroupOf(warp).Commit();
            case ["wgmma", "wait_group", "sync", "aligned"] when o is [{ Text: [>= '0' and <= '7'] }]:
                return (warp, _) => warp.Group.WarpGroupOf(warp).Wait(o[0].Text[0] - '0');
            case ["wgmma", "mma_async", "sync", "aligned", "m64n64k16" or "m64n128k16" or "m64n256k16", "f32", "f16", "f16"]:
                return BindProduct(instruction);
            default:
                throw instruction.Unknown();
        }
    }

    /// <summary>Sums, descriptors of A and B, whether the sums count, signs of A and B, whether A and B lie across k.</summary>
    private static PtxOperation BindProduct(PtxInstruction instruction)
    {
        if (instruction.Operands is not [var sums, var a, var b, var adds, { Text: "1" }, { Text: "1" }, { Text: "0" or "1" } acrossA, { Text: "0" or "1" } acrossB]) throw instruction.Unknown();
        string shape = instruction.Parts[4];
        int columns = int.Parse(shape.AsSpan(4, shape.Length - 7), CultureInfo.InvariantCulture);
        if (sums.Each.Select(sum => sum.Slot).Distinct().Count() != columns / 2) throw new PtxFaultException($"wgmma with another number of registers than {columns / 2}: {instruction.Text}");
        return (warp, _) =>
        {
            var four = warp.Group.WarpGroupOf(warp);
            four.Begin(new(shape, sums.Each, new(four.Common(a), PtxProduct.Rows, acrossA.Text == "0"), new(four.Common(b), columns, acrossB.Text == "0"), four.Common(adds) != 0));
        };
    }
}
