using ILGPU;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The registers that tell a thread which one it is.</summary>
internal static class PtxSpecial
{
    private static readonly HashSet<string> Known =
    [
        "%tid.x", "%tid.y", "%tid.z", "%ntid.x", "%ntid.y", "%ntid.z", "%ctaid.x", "%ctaid.y", "%ctaid.z", "%nctaid.x", "%nctaid.y", "%nctaid.z",
        "%laneid", "%warpid", "%dynamic_smem_size", "WARP_SZ",
    ];

    public static bool IsKnown(string name) => Known.Contains(name);

    /// <summary>What stays the same for all groups of a launch.</summary>
    public static void SetThreads(PtxWarp warp, PtxProgram program, Index3D grid, Index3D block, int dynamicShared)
    {
        for (int lane = 0; lane < 32; lane++)
        {
            int thread = warp.FirstThread + lane;
            warp.Set(program.Special("%tid.x"), lane, thread % block.X);
            warp.Set(program.Special("%tid.y"), lane, thread / block.X % block.Y);
            warp.Set(program.Special("%tid.z"), lane, thread / block.X / block.Y);
            warp.Set(program.Special("%laneid"), lane, lane);
            warp.Set(program.Special("%warpid"), lane, warp.FirstThread / 32);
            warp.Set(program.Special("WARP_SZ"), lane, 32);
            warp.Set(program.Special("%dynamic_smem_size"), lane, dynamicShared);
            Set(warp, program, "%ntid", lane, block);
            Set(warp, program, "%nctaid", lane, grid);
        }
    }

    public static void SetGroup(PtxWarp warp, PtxProgram program, Index3D group)
    {
        for (int lane = 0; lane < 32; lane++) Set(warp, program, "%ctaid", lane, group);
    }

    private static void Set(PtxWarp warp, PtxProgram program, string name, int lane, Index3D value)
    {
        warp.Set(program.Special(name + ".x"), lane, value.X);
        warp.Set(program.Special(name + ".y"), lane, value.Y);
        warp.Set(program.Special(name + ".z"), lane, value.Z);
    }
}
