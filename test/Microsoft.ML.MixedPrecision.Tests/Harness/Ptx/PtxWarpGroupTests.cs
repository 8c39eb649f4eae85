using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The interpreter's warp groups: that they multiply, and that every rule which no GPU checks is a fault where it is broken.</summary>
[TestClass]
public sealed class PtxWarpGroupTests
{
    private const string OwnTile = "and.b32 %r7, %r1, 127; mul.wide.u32 %rd16, %r7, 16; add.u64 %rd16, %rd16, %rd9; add.u64 %rd16, %rd16, %rd4;"; // a chunk in the first 2048 bytes of the warp group's A

    private static readonly PtxWarpGroupKernel Kernel = new(128, AcrossA: false, AcrossB: true);

    private static string Fault(PtxWarpGroupKernel kernel, int threads = PtxWarpGroupKernel.Threads, Func<string, string>? edit = null, int moreShared = 0) =>
        Assert.ThrowsExactly<PtxFaultException>(() => kernel.Run(threads, edit, moreShared)).Message;

    private static Func<string, string> Replace(string old, string with) => ptx =>
    {
        Assert.Contains(old, ptx);
        return ptx.Replace(old, with, StringComparison.Ordinal);
    };

    private static void Runs(PtxWarpGroupKernel kernel) => Assert.AreSequenceEqual(kernel.Expected(), kernel.Run());

    [TestMethod, DataRow(64), DataRow(128), DataRow(256)]
    public void Matrices_multiply_across_the_warps_of_a_group(int columns)
    {
        foreach (bool acrossA in (bool[])[false, true])
        {
            foreach (bool acrossB in (bool[])[false, true])
            {
                foreach (bool adds in (bool[])[false, true])
                {
                    var kernel = new PtxWarpGroupKernel(columns, acrossA, acrossB) { Adds = adds };
                    Assert.AreSequenceEqual(kernel.Expected(), kernel.Run(), kernel.ToString());
                }
            }
        }
    }

    public static IEnumerable<TestDataRow<int>> Assembled => ((int[])[64, 128, 256]).Select(columns => new TestDataRow<int>(columns) { IgnoreMessage = CudaTools.Missing });

    [TestMethod, DynamicData(nameof(Assembled))]
    public void The_kernel_of_these_tests_is_one_to_the_assembler(int columns) =>
        Assert.AreEqual(0, CudaTools.Assemble(new PtxWarpGroupKernel(columns, AcrossA: true, AcrossB: false) { Adds = false }.Ptx, "sm_90a", disassemble: false).Spills);

    [TestMethod]
    public void Sums_of_a_product_under_way_are_not_touched()
    {
        const string UnderWay = "belongs to a product that is under way";
        Assert.Contains($"'%f5' {UnderWay}", Fault(Kernel with { UnderWay = "mov.f32 %f5, 0f00000000;" }));
        Assert.Contains($"'%f6' {UnderWay}", Fault(Kernel with { UnderWay = "setp.eq.f32 %p2, %f6, %f6;" }));
        Assert.Contains($"'%f0' {UnderWay}", Fault(Kernel with { Wait = "" }));
        Assert.Contains($"'%f0' {UnderWay}", Fault(Kernel with { Wait = "wgmma.wait_group.sync.aligned 1;" }));
        Assert.Contains($"'%f63' {UnderWay}", Fault(Kernel with { UnderWay = "@!%p1 mov.f32 %f63, 0f00000000;" }));
        // What is not committed is not waited for.
        Assert.Contains($"'%f0' {UnderWay}", Fault(Kernel with { Commit = "" }));
        Runs(Kernel with { Wait = "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 1;" });
        Runs(Kernel with { UnderWay = "@%p1 mov.f32 %f63, 0f00000000; add.s32 %r9, %r1, %r1;" });
    }

    [TestMethod]
    public void Sums_that_others_used_need_a_fence()
    {
        const string Since = "was used since the last wgmma.fence";
        Assert.Contains("the first product of a warp group needs wgmma.fence", Fault(Kernel with { Fence = "" }));
        Assert.Contains($"'%f3' {Since}", Fault(Kernel with { Fence = "wgmma.fence.sync.aligned; mov.f32 %f3, 0f3F800000;" }));
        Assert.Contains($"'%f4' {Since}", Fault(Kernel with { Fence = "wgmma.fence.sync.aligned; setp.eq.f32 %p2, %f4, %f4;" }));
        const string Finish = "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;";
        // Products of one shape follow each other without a fence; what reads a sum between them asks for one.
        Runs(Kernel with { Between = _ => Finish });
        Assert.Contains($"'%f0' {Since}", Fault(Kernel with { Between = k => k == 1 ? $"{Finish} setp.eq.f32 %p2, %f0, %f0;" : "" }));
        Runs(Kernel with { Between = k => k == 1 ? $"{Finish} setp.eq.f32 %p2, %f0, %f0; wgmma.fence.sync.aligned;" : "" });
    }

    [TestMethod]
    public void Products_of_two_shapes_do_not_share_sums_under_way()
    {
        string registers = string.Join(", ", Enumerable.Range(0, 32).Select(i => $"%f{i + 8}"));
        string other = $"wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {{{registers}}}, %rd10, %rd11, 1, 1, 1, 0, 1;";
        Assert.Contains("'%f8' is register 8 of a product m64n128k16 that is under way, and becomes register 0 of a product m64n64k16", Fault(Kernel with { UnderWay = other }));
        const string Finish = "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;";
        Assert.Contains("'%f8' belonged to a product m64n128k16 since the last wgmma.fence", Fault(Kernel with { After = other + Finish }));
        Kernel.Run(edit: Replace(Kernel.Wait, $"{Kernel.Wait} {Kernel.Fence} {other} {Finish}"));
    }

    [TestMethod]
    public void Products_see_what_was_written_fenced_and_met()
    {
        const string Copied = "cp.async.wait_group 0;", Fence = "fence.proxy.async.shared::cta;", Met = "bar.sync 0;";
        Assert.Contains("race in Product: warp group 0 multiplies what an asynchronous copy may still write", Fault(Kernel with { Publish = Fence + Met }));
        Assert.Contains("race in Product: warp group 0 multiplies what thread 0 wrote, with no barrier between", Fault(Kernel with { Publish = Copied + Fence }));
        Assert.Contains("race in Product: warp group 0 multiplies what thread 0 wrote, with no fence.proxy.async of that thread after it", Fault(Kernel with { Publish = Copied + Met }));
        Assert.Contains("with no fence.proxy.async of that thread after it", Fault(Kernel with { Publish = Fence + Copied + Met })); // it had not arrived yet
        Assert.Contains("with no barrier after its fence.proxy.async", Fault(Kernel with { Publish = Copied + Met + Fence }));
        Assert.Contains("multiplies what thread 128 wrote, with no fence.proxy.async", Fault(Kernel with { Publish = $"{Copied} setp.lt.u32 %p2, %r1, 128; @%p2 {Fence} {Met}" }));
        Assert.Contains("uninitialised in Product: warp group 1 multiplies what nobody wrote", Fault(Kernel, edit: Replace("cp.async.cg.shared.global [%rd8+8192], [%rd6+8192], 16;", "")));
        Runs(Kernel with { Publish = Copied + "fence.proxy.async;" + Met });
        Runs(Kernel with { Publish = Copied + Fence + Met + Met });

        // A store of the value that is there already is no less one.
        const string Store = "ld.shared.b32 %r8, [%rd8]; st.shared.b32 [%rd8], %r8;";
        Assert.Contains("with no fence.proxy.async of that thread after it", Fault(Kernel with { Publish = Copied + Fence + Store + Met }));
        Runs(Kernel with { Publish = Copied + Store + Fence + Met });
    }

    [TestMethod]
    public void What_a_product_reads_is_not_written_before_its_end()
    {
        const string StillRead = "writes what a product of warp group 0 may still read; wait for it first", NotMet = "writes what a product of warp group 0 read, with no barrier after the wait for it";
        const string Store = "st.shared.b32 [%rd8], %r1;", Copy = "cp.async.cg.shared.global [%rd8], [%rd6], 16;";
        foreach (string write in (string[])[Store, Copy])
        {
            Assert.Contains("race in Product: thread 0 " + StillRead, Fault(Kernel with { UnderWay = write }));
            Assert.Contains("race in Product: thread 0 " + StillRead, Fault(Kernel with { UnderWay = "bar.sync 0;" + write }));
            // Threads 128 to 255 write to the first warp group's A, which has ended only as far as that group knows.
            Assert.Contains("race in Product: thread 128 " + NotMet, Fault(Kernel with { After = write }));
            Assert.Contains("race in Product: thread 0 writes what a product of warp group 1 may still read", Fault(Kernel with { UnderWay = "bar.sync 0;", After = write.Replace("[%rd8]", "[%rd8+8192]", StringComparison.Ordinal) }));
            Runs(Kernel with { After = "bar.sync 0;" + write });
            // A warp group's own tile needs the wait alone.
            Runs(Kernel with { After = OwnTile + write.Replace("[%rd8]", "[%rd16]", StringComparison.Ordinal) });
        }
    }

    [TestMethod]
    public void A_wait_covers_the_older_products_alone()
    {
        // Across k, each product has 2048 bytes of A for itself; the last is the one under way.
        var kernel = new PtxWarpGroupKernel(64, AcrossA: true, AcrossB: false) { Between = k => k < 3 ? "wgmma.commit_group.sync.aligned;" : "" };
        string Write(int step) => $"{OwnTile} st.shared.v4.b32 [%rd16+{step * 2048}], {{%r1, %r1, %r1, %r1}};";
        for (int groups = 0; groups < 4; groups++)
        {
            string wait = $"wgmma.wait_group.sync.aligned {groups};";
            for (int step = 0; step < 4; step++)
            {
                var writing = kernel with { UnderWay = wait + Write(step) };
                if (step < 4 - groups) Runs(writing);
                else Assert.Contains("may still read", Fault(writing), $"step {step} after a wait for all but {groups}");
            }
        }
    }

    [TestMethod]
    public void All_four_warps_do_it_together()
    {
        Func<string, string> Unless(string condition) => Replace(Kernel.Fence, $"setp.lt.u32 %p2, %r1, {condition}; @%p2 bra L_1; {Kernel.Fence}\nL_1:\n");
        Assert.Contains("divergent warp group: warp 0 waits at 'wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16', and warp 1 waits at 'wgmma.fence.sync.aligned'", Fault(Kernel, edit: Unless("32")));
        Assert.Contains("divergent barrier: in warp 0, lane 0 waits at 'wgmma.mma_async", Fault(Kernel, edit: Unless("5")));
        Assert.Contains("a guarded barrier", Fault(Kernel, edit: Replace(Kernel.Fence, $"@%p1 {Kernel.Fence}")));
        Assert.Contains("divergent warp group: warp 1 waits at 'wgmma.fence.sync.aligned', and warp 0 has ended", Fault(Kernel, edit: Replace(Kernel.Fence, $"setp.lt.u32 %p2, %r1, 32; @%p2 ret; {Kernel.Fence}")));
        Assert.Contains("needs 4 warps, and warp group 1 has 2", Fault(Kernel with { Publish = "setp.lt.u32 %p2, %r1, 128; @%p2 ret;" }, threads: 192));
        Assert.Contains("'%rd12' differs among the threads of warp group 0", Fault(Kernel, edit: Replace("mul.wide.u32 %rd9, %r2", "mul.wide.u32 %rd9, %r1")));
    }

    [TestMethod]
    public void Tiles_lie_where_the_swizzle_expects_them()
    {
        // As ILGPU declares it, by the elements' size; a start at 0 would have hidden it.
        Assert.Contains("misaligned: a matrix along k at shared address 16;", Fault(Kernel, edit: Replace(".align 1024", ".align 16")));
        Assert.Contains("misaligned: a matrix across k", Fault(new(64, AcrossA: true, AcrossB: false), edit: Replace("%rd10, 256;", "%rd10, 2;")));
        Assert.Contains("misaligned: a matrix along k", Fault(Kernel, edit: Replace("%rd10, 6;", "%rd10, 7;")));
        string strides = $"{1L << 62 | 1024L >> 4 << 32 | 1L << 16}";
        foreach (long wrong in (long[])[1024L >> 4 << 32, 1L << 63 | 1024L >> 4 << 32, 1L << 62 | 1L << 49 | 1024L >> 4 << 32])
            Assert.Contains("swizzled, with no offset of their base, not descriptor", Fault(Kernel, edit: Replace(strides, $"{(ulong)wrong}")));
        Assert.Contains("misaligned: a matrix of strides", Fault(Kernel, edit: Replace(strides, $"{1L << 62 | 512L >> 4 << 32}")));
        Assert.Contains("out of bounds: 16 bytes", Fault(Kernel, edit: Replace("add.u64 %rd11, %rd4, 16384;", "add.u64 %rd11, %rd4, 31744;")));
    }

    [TestMethod]
    public void Hopper_alone_has_it()
    {
        Assert.Contains("'fence.proxy.async.shared::cta' needs sm_90, and the PTX is for sm_80", Fault(Kernel, edit: Replace("sm_90a", "sm_80")));
        foreach (string other in (string[])["sm_90", "sm_100a"]) Assert.Contains($"'wgmma.fence.sync.aligned' needs sm_90a, and the PTX is for {other.TrimEnd('a')}", Fault(Kernel, edit: Replace("sm_90a", other)));
        Assert.Contains("needs PTX 8.0, and this is 7.8", Fault(Kernel, edit: Replace(".version 8.0", ".version 7.8")));
        foreach (string unknown in (string[])["m64n120k16", "m64n128k16.f16", "sp.m64n128k16"])
            Assert.Contains("does not know 'wgmma.mma_async", Fault(Kernel, edit: Replace("m64n128k16", unknown)));
        Assert.Contains("does not know", Fault(Kernel, edit: Replace("1, 1, 1, 0, 1;", "1, -1, 1, 0, 1;")));
        Assert.Contains("another number of registers than 64", Fault(Kernel, edit: Replace("{%f0, %f1, %f2,", "{%f0, %f1,")));
        Assert.Contains("another number of registers than 64", Fault(Kernel, edit: Replace("{%f0, %f1, %f2,", "{%f0, %f0, %f2,")));
    }

    [TestMethod]
    public void A_group_has_227_KB_of_shared_memory_there()
    {
        int most = 227 * 1024 - 1024 - Kernel.SharedBytes; // dynamic memory starts at 1024, as on the GPU
        Assert.AreSequenceEqual(Kernel.Expected(), Kernel.Run(moreShared: most));
        Assert.Contains($"Product takes {227 * 1024 + 16} bytes of shared memory, and a group has at most {227 * 1024}", Fault(Kernel, moreShared: most + 16));
    }
}
