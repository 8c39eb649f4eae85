using System.Text.RegularExpressions;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The tensor-core product with faults planted in its PTX: each is found, and the kernel without one is right.</summary>
[TestClass]
public sealed partial class TensorRaceTests
{
    [GeneratedRegex(@"bar\.sync\s+0;")]
    private static partial Regex Barrier();

    /// <param name="sums">Whether columns are summed too.</param>
    /// <param name="expected">Barriers in the kernel.</param>
    [TestMethod]
    [DataRow(false, 3)]
    [DataRow(true, 4)]
    public void A_removed_barrier_is_found(bool sums, int expected)
    {
        int barriers = 0;
        Run(TensorPlan.Small, 104, ptx =>
        {
            barriers = Barrier().Count(ptx);
            return ptx;
        }, sums);
        Assert.AreEqual(expected, barriers);
        for (int i = 0; i < barriers; i++)
        {
            int removed = i;
            Assert.Contains("race", Assert.ThrowsExactly<PtxFaultException>(() => Run(TensorPlan.Small, 104, ptx => Without(ptx, removed), sums), $"barrier {i} of {barriers}").Message);
        }
    }

    [TestMethod]
    public void A_weakened_wait_is_found()
    {
        string Weakened(string ptx, string wait, string weaker)
        {
            Assert.Contains(wait, ptx);
            return ptx.Replace(wait, weaker, StringComparison.Ordinal);
        }
        Assert.Contains("asynchronous copy", Assert.ThrowsExactly<PtxFaultException>(() => Run(TensorPlan.Small, 104, ptx => Weakened(ptx, "cp.async.wait_group 1;", "cp.async.wait_group 2;"))).Message);
        // The zeros beyond the end of a k of one step are still under way when the ring becomes the tile of C, which is two stages large here.
        Assert.Contains("asynchronous copy", Assert.ThrowsExactly<PtxFaultException>(() => Run(TensorPlan.Large, 8, ptx => Weakened(ptx, "cp.async.wait_group 0;", "cp.async.wait_group 2;"))).Message);
    }

    private static string Without(string ptx, int barrier)
    {
        var found = Barrier().Matches(ptx)[barrier];
        return ptx.Remove(found.Index, found.Length);
    }

    private static void Run(TensorTile tile, int k, Func<string, string> edit, bool sums = false)
    {
        const int M = 72, N = 40;
        using var run = new ProductRun(new IlgpuBackend(Precision.Mixed, new PtxDevice(CudaArchitecture.SM_80, edit), HalfFormat.Native, tensorCores: true));
        var (sourceA, a) = run.Random("A", M * k);
        var (sourceB, b) = run.Random("B", k * N);
        var c = run.Filled("C", 1, M, N);
        var product = new MatrixProduct("Test", new DenseOperand(sourceA, M, k, 0, k, false), new DenseOperand(sourceB, k, N, 0, N, false), c, 0, N);
        run.Execute(new TensorProductTests.Fixed(sums ? product.ReadBy(TileSumsTests.Statistics(run, c, valid: 1))! : product, tile, 128));
        var expected = new double[M * N];
        for (int i = 0; i < M * N; i++) expected[i] = Enumerable.Range(0, k).Sum(l => (double)a[i / N * k + l] * b[l * N + i % N]);
        run.Check(expected, c, k, "C");
    }
}
