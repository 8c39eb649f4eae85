using System.Runtime.CompilerServices;
using ILGPU.IR.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The instructions of Hopper's (sm_90a) products of warp groups, four warps that multiply together and read both operands where they lie in shared memory.
/// With two bodies each, as <see cref="TensorCore"/>: <see cref="WarpGroupPtx"/> has the other.
/// <para>
/// Tiles lie as <see cref="ISwizzledLines"/> says and begin at multiples of 1,024 bytes. A multiplication runs on its own: between <see cref="Begin"/> and the
/// <see cref="Wait"/> that covers it nobody may write what it reads, or look at its sums.
/// </para>
/// </summary>
internal static class WarpGroup
{
    /// <summary>fence.proxy.async: what this thread has brought to shared memory becomes visible to multiplications; a barrier must follow.</summary>
    [IntrinsicImplementation]
    public static void Publish() { }

    /// <summary>shfl.sync.idx: a number that all lanes of a warp have, from the first, so that the assembler knows that they do and keeps what follows from it in one register for all.</summary>
    [IntrinsicImplementation]
    public static int Uniform(int value) => value;

    /// <summary>wgmma.fence: before the first multiplication of a series.</summary>
    [IntrinsicImplementation]
    public static void Begin() { }

    /// <summary>
    /// wgmma.m64n64k16: starts sums + a * b for 16 values of k. It works in place: after the call only its result may be used, never the argument.
    /// </summary>
    /// <param name="a">Rows of the left operand, 64 values of k.</param>
    /// <param name="block">Which 64 of the rows; a constant, as all that follow but <paramref name="b"/>.</param>
    /// <param name="b">64 columns of the right one.</param>
    /// <param name="step">Which 16 of the 64 values of k.</param>
    /// <param name="depthA">1 where the lines of a run along k.</param>
    /// <param name="depthB">1 where the lines of b run along k.</param>
    [IntrinsicImplementation]
    public static GroupSums64 MultiplyAdd64(GroupSums64 sums, ref Words4 a, int block, ref Words4 b, int step, int depthA, int depthB) =>
        WarpGroupSimulation.MultiplyAdd(sums, 8, ref Unsafe.Add(ref a, block * 512), ref b, step, depthA != 0, depthB != 0);

    /// <summary>wgmma.m64n128k16, for 128 columns.</summary>
    /// <inheritdoc cref="MultiplyAdd64"/>
    [IntrinsicImplementation]
    public static GroupSums128 MultiplyAdd128(GroupSums128 sums, ref Words4 a, int block, ref Words4 b, int step, int depthA, int depthB) =>
        WarpGroupSimulation.MultiplyAdd(sums, 16, ref Unsafe.Add(ref a, block * 512), ref b, step, depthA != 0, depthB != 0);

    /// <summary>wgmma.commit_group: closes a series.</summary>
    [IntrinsicImplementation]
    public static void Commit() { }

    /// <summary>wgmma.wait_group: waits until no more than some series are under way.</summary>
    /// <param name="pending">How many; a constant.</param>
    [IntrinsicImplementation]
    public static void Wait(int pending) { }
}

/// <summary>What a lane gets of a multiplication on ILGPU's simulator, at once.</summary>
internal static class WarpGroupSimulation
{
    /// <param name="tiles">Of eight columns each.</param>
    public static TSums MultiplyAdd<TSums>(TSums sums, int tiles, ref Words4 a, ref Words4 b, int step, bool depthA, bool depthB) where TSums : unmanaged
    {
        int lane = ILGPU.Group.IdxX & 127, row = (lane >> 5) * 16 + ((lane & 31) >> 2), pair = (lane & 3) * 2;
        for (int tile = 0; tile < tiles; tile++)
        {
            ref var c = ref Unsafe.Add(ref Unsafe.As<TSums, Sums>(ref sums), tile);
            int column = tile * 8 + pair;
            float c0 = 0f, c1 = 0f, c2 = 0f, c3 = 0f;
            for (int k = step * 16; k < step * 16 + 16; k++)
            {
                float upper = Element(ref a, depthA, row, k), lower = Element(ref a, depthA, row + 8, k), left = Element(ref b, depthB, column, k), right = Element(ref b, depthB, column + 1, k);
                c0 += upper * left;
                c1 += upper * right;
                c2 += lower * left;
                c3 += lower * right;
            }
            c = new(c.C0 + c0, c.C1 + c1, c.C2 + c2, c.C3 + c3);
        }
        return sums;
    }

    private static float Element(ref Words4 tile, bool alongDepth, int outer, int depth)
    {
        int chunk = alongDepth ? DepthLines.Place(outer, depth) : OuterLines.Place(outer, depth);
        return (float)Unsafe.Add(ref Unsafe.As<Words4, Half>(ref Unsafe.Add(ref tile, chunk)), (alongDepth ? depth : outer) & 7);
    }
}
