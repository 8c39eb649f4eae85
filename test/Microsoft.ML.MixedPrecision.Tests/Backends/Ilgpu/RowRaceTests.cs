using System.Text.RegularExpressions;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Kernels whose threads share sums, with barriers removed from their PTX: each that the shape needs is missed.</summary>
[TestClass]
public sealed partial class RowRaceTests
{
    [GeneratedRegex(@"bar\.sync\s+0;")]
    private static partial Regex Barrier();

    [GeneratedRegex("race|uninitialised")]
    private static partial Regex Missed();

    /// <param name="needed">Barriers without which threads race: two for each of the two sums, but none after the last sum of up to eight lanes.</param>
    [TestMethod]
    [DataRow(32, 3, DisplayName = "4 lanes")]
    [DataRow(256, 3, DisplayName = "8 lanes")]
    [DataRow(264, 4, DisplayName = "16 lanes")]
    [DataRow(1024, 4, DisplayName = "32 lanes")]
    [DataRow(2600, 4, DisplayName = "64 lanes, and columns that none keeps")]
    public void A_removed_barrier_of_rows_is_found(int width, int needed) => AssertFound(needed, edit => Softmax(width, edit));

    [TestMethod]
    public void A_removed_barrier_of_joined_parts_is_found() => AssertFound(2, Join);

    private static void AssertFound(int needed, Action<Func<string, string>> run)
    {
        int barriers = 0, found = 0;
        run(ptx =>
        {
            barriers = Barrier().Count(ptx);
            return ptx;
        });
        for (int i = 0; i < barriers; i++)
        {
            int removed = i;
            try
            {
                run(ptx =>
                {
                    var barrier = Barrier().Matches(ptx)[removed];
                    return ptx.Remove(barrier.Index, barrier.Length);
                });
            }
            catch (PtxFaultException e)
            {
                Assert.MatchesRegex(Missed(), e.Message);
                found++;
            }
        }
        Assert.AreEqual(needed, found, $"of {barriers} barriers");
    }

    private static void Softmax(int width, Func<string, string> edit)
    {
        using var run = new ProductRun(new IlgpuBackend(Precision.Mixed, new PtxDevice(CudaArchitecture.SM_80, edit), HalfFormat.Native));
        Tensor x = run.Filled("x", 5, width), y = run.Filled("y", 5, width);
        run.Execute(new SoftmaxForward(x, y));
    }

    private static void Join(Func<string, string> edit)
    {
        using var backend = new IlgpuBackend(Precision.Single, new PtxDevice(CudaArchitecture.SM_80, edit));
        backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = 4 * 20 * 600, [Region.Staging] = 4 * 600 });
        var x = new Tensor("x", ElementType.Single, Region.Activations, 20, 600) { ArenaOffset = 0 };
        var sums = new Tensor("sums", ElementType.Single, Region.Staging, 600) { ArenaOffset = 0 };
        backend.ReduceParts<ReduceTests.PartTotals, float, ReduceTests.PartArguments>(600, 20, new(600, 20, backend.View<float>(x), backend.View<float>(sums)))();
    }
}
