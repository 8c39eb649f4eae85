using System.Text.RegularExpressions;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Hopper's product with faults planted in its PTX: each is found, and the kernel without one is right.</summary>
[TestClass]
public sealed class WarpGroupRaceTests
{
    /// <summary>Five steps of k: the ring of four stages ends with the first, where one warp group's sums go while the other one may still multiply.</summary>
    private const int M = 136, N = 72, K = 5 * WarpGroupProduct.Depth;

    private static readonly TensorTile[] Tiles = [TensorPlan.Smallest, TensorPlan.Narrow, TensorPlan.Tallest];

    [TestMethod]
    public void A_removed_barrier_is_found()
    {
        foreach (var tile in Tiles)
        {
            int barriers = 0;
            Run(tile, ptx =>
            {
                barriers = Regex.Count(ptx, @"bar\.sync\s+0;");
                return ptx;
            });
            Assert.AreEqual(3, barriers);
            // The first is that before the sums take the ring's place. With 64 columns a warp group's sums lie where it has read its own rows, and nobody else has.
            for (int i = tile.Columns == 64 ? 1 : 0; i < barriers; i++)
            {
                int removed = i;
                Assert.ThrowsExactly<PtxFaultException>(() => Run(tile, ptx => Without(ptx, @"bar\.sync\s+0;", removed)), $"{tile.Rows} x {tile.Columns}, barrier {i}");
            }
        }
    }

    /// <summary>What a step brings: its copies waited for, published, and multiplied before the sums are used and the stage is written again.</summary>
    [TestMethod]
    [DataRow(@"fence\.proxy\.async\.shared::cta;", "")]
    [DataRow(@"wgmma\.fence\.sync\.aligned;", "")]
    [DataRow(@"wgmma\.commit_group\.sync\.aligned;", "")]
    [DataRow(@"cp\.async\.wait_group (\d);", "cp.async.wait_group 7;")]
    [DataRow(@"wgmma\.wait_group\.sync\.aligned (\d);", "wgmma.wait_group.sync.aligned 3;")]
    public void A_fence_or_a_wait_that_is_missing_or_too_weak_is_found(string instruction, string weaker)
    {
        foreach (var tile in Tiles)
        {
            Assert.ThrowsExactly<PtxFaultException>(() => Run(tile, ptx =>
            {
                Assert.MatchesRegex(instruction, ptx);
                return Regex.Replace(ptx, instruction, weaker);
            }), $"{tile.Rows} x {tile.Columns}");
        }
    }

    private static string Without(string ptx, string instruction, int number)
    {
        var found = Regex.Matches(ptx, instruction)[number];
        return ptx.Remove(found.Index, found.Length);
    }

    private static void Run(TensorTile tile, Func<string, string> edit)
    {
        using var run = new ProductRun(new IlgpuBackend(Precision.Mixed, new PtxDevice(CudaArchitecture.SM_90, edit), HalfFormat.Native, tensorCores: true, warpGroups: true));
        var (sourceA, a) = run.Random("A", M * K);
        var (sourceB, b) = run.Random("B", K * N);
        var c = run.Filled("C", M * N);
        run.Execute(new TensorProductTests.Fixed(new MatrixProduct("Test", new DenseOperand(sourceA, M, K, 0, K, false), new DenseOperand(sourceB, K, N, 0, N, false), c, 0, N), tile, K));
        var expected = new double[M * N];
        for (int i = 0; i < M * N; i++) expected[i] = Enumerable.Range(0, K).Sum(l => (double)a[i / N * K + l] * b[l * N + i % N]);
        run.Check(expected, c, K, "C");
    }
}
