using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The interpreter's warp groups: that they multiply, and that every rule which hardware does not check is a fault where it is broken.</summary>
[TestClass]
public sealed class PtxWarpGroupTests
{
    private static readonly WarpGroupKernel Kernel = new(128, AcrossA: false, AcrossB: true);

    private static string Fault(WarpGroupKernel kernel, int threads = WarpGroupKernel.Threads, Func<string, string>? edit = null, int moreShared = 0) =>
        Assert.ThrowsExactly<PtxFaultException>(() => kernel.Run(threads, edit, moreShared)).Message;

    private static Func<string, string> Replace(string old, string with) => ptx =>
    {
        Assert.Contains(old, ptx);
        return ptx.Replace(old, with, StringComparison.Ordinal);
    };

    [TestMethod, DataRow(64), DataRow(128), DataRow(256)]
    public void Matrices_multiply_across_the_warps_of_a_group(int columns)
    {
        foreach (bool acrossA in (bool[])[false, true])
        {
            foreach (bool acrossB in (bool[])[false, true])
            {
                foreach (bool adds in (bool[])[false, true])
                {
                    var kernel = new WarpGroupKernel(columns, acrossA, acrossB) { Adds = adds };
                    Assert.AreSequenceEqual(kernel.Expected(), kernel.Run(), kernel.ToString());
                }
            }
        }
    }

    [TestMethod]
    public void The_kernel_of_these_tests_is_one_to_NVIDIAs_assembler()
    {
        if (CudaTools.Missing is { } missing) Assert.Inconclusive(missing);
        foreach (int columns in (int[])[64, 128, 256])
            Assert.AreEqual(0, CudaTools.Assemble(new WarpGroupKernel(columns, true, false) { Adds = false }.Ptx, "sm_90a", disassemble: false).Spills);
    }
}
