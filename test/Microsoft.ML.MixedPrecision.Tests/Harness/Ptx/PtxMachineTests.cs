using System.Reflection;
using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The interpreter itself: that it computes, and that it finds what it is there to find. Kernels are PTX by hand.</summary>
[TestClass]
public sealed class PtxMachineTests
{
    /// <summary>Thread t stores t, meets the others, and reads what thread 63 - t stored.</summary>
    private const string Exchange = """
        .visible .entry Exchange(.param .align 8 .b8 _y[16])
        {
            .shared .align 4 .b8 __shared_alloca0[256];
            .reg .b32 %r<6>; .reg .b64 %rd<8>; .reg .pred %p<2>;
            ld.param.b64 %rd1, [_y];
            mov.b64 %rd2, __shared_alloca0;
            mov.b32 %r1, %tid.x;
            mul.wide.u32 %rd3, %r1, 4;
            add.u64 %rd4, %rd2, %rd3;
            st.shared.b32 [%rd4], %r1;
            bar.sync 0;
            sub.s32 %r2, 63, %r1;
            mul.wide.u32 %rd5, %r2, 4;
            add.u64 %rd6, %rd2, %rd5;
            ld.shared.b32 %r3, [%rd6];
            add.u64 %rd7, %rd1, %rd3;
            st.b32 [%rd7], %r3;
            ret;
        }
        """;

    /// <summary>Two stages of 16 bytes for each thread; the neighbour's are read after a wait and a barrier.</summary>
    private const string Pipeline = """
        .visible .entry Pipeline(.param .align 8 .b8 _x[16], .param .align 8 .b8 _y[16], .param .b32 _valid)
        {
            .shared .align 16 .b8 ring[1024];
            .reg .b32 %r<12>; .reg .b64 %rd<16>;
            ld.param.b64 %rd1, [_x]; ld.param.b64 %rd2, [_y]; ld.param.b32 %r9, [_valid];
            mov.b64 %rd3, ring;
            mov.b32 %r1, %tid.x;
            mul.wide.u32 %rd4, %r1, 16;
            add.u64 %rd5, %rd3, %rd4;
            add.u64 %rd6, %rd1, %rd4;
            cp.async.cg.shared.global.L2::128B [%rd5], [%rd6], 16, %r9;
            cp.async.commit_group;
            cp.async.ca.shared.global [%rd5+512], [%rd6+512], 8, 8;
            cp.async.ca.shared.global [%rd5+520], [%rd6+520], 4;
            cp.async.ca.shared.global [%rd5+524], [%rd6+524], 4, 0;
            cp.async.commit_group;
            cp.async.wait_group 0;
            bar.sync 0;
            sub.s32 %r2, 31, %r1;
            mul.wide.u32 %rd7, %r2, 16;
            add.u64 %rd8, %rd3, %rd7;
            ld.shared.v4.b32 {%r3, %r4, %r5, %r6}, [%rd8];
            ld.shared.v2.b32 {%r7, %r8}, [%rd8+520];
            add.s32 %r6, %r6, %r7; add.s32 %r6, %r6, %r8;
            add.u64 %rd9, %rd2, %rd4;
            st.global.v4.b32 [%rd9], {%r3, %r4, %r5, %r6};
            ret;
        }
        """;

    private static readonly Index3D One = new(1, 1, 1), Two = new(2, 1, 1);

    private static int[] RunExchange(string ptx, int length = 64)
    {
        var y = new PtxBuffer<int>(length);
        PtxMachine.Run(ptx, null, One, new(64, 1, 1), 0, y);
        return y.Values.ToArray();
    }

    private static string Fault(Action run) => Assert.ThrowsExactly<PtxFaultException>(run).Message;

    [TestMethod]
    public void Threads_exchange_values_at_a_barrier() => Assert.AreSequenceEqual(Enumerable.Range(0, 64).Reverse(), RunExchange(Exchange));

    [TestMethod]
    public void A_removed_barrier_is_a_race()
    {
        // Within one warp as well: its threads need not run in step. There, a barrier of the warp does.
        string without = Exchange.Replace("bar.sync 0;", "", StringComparison.Ordinal);
        Assert.Contains("uninitialised in Exchange: thread 0 reads", Fault(() => RunExchange(without)));
        string inWarp = without.Replace("sub.s32 %r2, 63", "xor.b32 %r2, 1", StringComparison.Ordinal);
        Assert.Contains("race in Exchange: thread 0 reads what thread 1 wrote", Fault(() => RunExchange(inWarp)));
        string synchronized = inWarp.Replace("xor", "bar.warp.sync 0xffffffff; xor", StringComparison.Ordinal);
        RunExchange(synchronized);
        Assert.Contains("race in Exchange: thread 0 writes what another thread reads", Fault(() => RunExchange(synchronized.Replace("ret;", "st.shared.b32 [%rd4], %r3; ret;", StringComparison.Ordinal))));
    }

    [TestMethod]
    public void A_write_of_another_thread_needs_a_barrier_before_it()
    {
        string again = Exchange.Replace("ret;", "st.shared.b32 [%rd4], %r3; ret;", StringComparison.Ordinal);
        Assert.Contains("race in Exchange: thread 32 reads what thread 31 wrote", Fault(() => RunExchange(again)));
        RunExchange(again.Replace("st.shared.b32 [%rd4], %r3;", "bar.sync 0; st.shared.b32 [%rd4], %r3;", StringComparison.Ordinal));
        Assert.Contains("wrote", Fault(() => RunExchange(Exchange.Replace("st.shared.b32 [%rd4], %r1", "st.shared.b32 [%rd2], %r1", StringComparison.Ordinal))));
    }

    [TestMethod]
    public void Accesses_out_of_bounds_or_misaligned_are_faults()
    {
        Assert.Contains("out of bounds: 4 bytes", Fault(() => RunExchange(Exchange, length: 63)));
        Assert.Contains("252 bytes into one of 252", Fault(() => RunExchange(Exchange, length: 63)));
        Assert.Contains("misaligned", Fault(() => RunExchange(Exchange.Replace("[%rd7], %r3", "[%rd7+2], %r3", StringComparison.Ordinal))));
        Assert.Contains("out of bounds: 4 bytes at 256 of 256 bytes of shared", Fault(() => RunExchange(Exchange.Replace("[%rd6]", "[%rd6+4]", StringComparison.Ordinal))));
        Assert.Contains("out of bounds", Fault(() => RunExchange(Exchange.Replace("ld.shared", "ld", StringComparison.Ordinal)))); // a shared address is no generic one
    }

    [TestMethod]
    public void Groups_and_threads_do_not_meet_in_global_memory()
    {
        void Run(string ptx, Index3D grid) => PtxMachine.Run(ptx, null, grid, new(64, 1, 1), 0, new PtxBuffer<int>(64));
        Run(Exchange, One);
        Assert.Contains("race on global memory: thread 0 writes", Fault(() => Run(Exchange, Two))); // both groups write all 64
        string neighbour = Exchange.Replace("ret;", "MEET ld.b32 %r4, [%rd1]; ret;", StringComparison.Ordinal); // what thread 0 wrote
        Assert.Contains("race on global memory: thread 1 reads", Fault(() => Run(neighbour.Replace("MEET", "", StringComparison.Ordinal), One)));
        Run(neighbour.Replace("MEET", "bar.sync 0;", StringComparison.Ordinal), One);
        string overwritten = Exchange.Replace("add.u64 %rd7, %rd1, %rd3;", "add.u64 %rd7, %rd1, %rd3; ld.b32 %r4, [%rd1];", StringComparison.Ordinal);
        Assert.Contains("race on global memory: thread 0 writes", Fault(() => Run(overwritten, One)));
    }

    [TestMethod]
    public void Barriers_that_not_all_threads_reach_are_faults()
    {
        string some = Exchange.Replace("ld.shared.b32 %r3, [%rd6]", "mov.b32 %r3, %r1", StringComparison.Ordinal).Replace("bar.sync 0;", "setp.lt.u32 %p1, %r1, BOUND; @%p1 bra L_1; bar.sync 0;\nL_1:\n", StringComparison.Ordinal);
        Assert.Contains("divergent barrier", Fault(() => RunExchange(some.Replace("BOUND", "32", StringComparison.Ordinal)))); // a whole warp goes past it
        Assert.Contains("divergent barrier", Fault(() => RunExchange(some.Replace("BOUND", "5", StringComparison.Ordinal))));
        Assert.Contains("divergent bra.uni", Fault(() => RunExchange(some.Replace("BOUND", "5", StringComparison.Ordinal).Replace("bra L_1", "bra.uni L_1", StringComparison.Ordinal))));
    }

    [TestMethod]
    public void Asynchronous_copies_arrive_at_the_wait()
    {
        var x = new PtxBuffer<int>([.. Enumerable.Range(0, 256)]);
        int[] Copy(string ptx, int valid)
        {
            var y = new PtxBuffer<int>(128);
            PtxMachine.Run(ptx, "Pipeline", One, new(32, 1, 1), 0, x, y, valid);
            return y.Values.ToArray();
        }
        Assert.AreSequenceEqual((int[])[124, 125, 0, 254], Copy(Pipeline, 8)[..4]); // zeros after 8 valid bytes; 254 from the second stage, and 0 of 4 bytes
        Assert.AreSequenceEqual((int[])[124, 125, 126, 127 + 254], Copy(Pipeline, 16)[..4]);
        foreach (string weaker in (string[])["cp.async.wait_group 1;", "cp.async.wait_group 2;", ""])
            Assert.Contains("race in Pipeline: thread 0 reads what an asynchronous copy may still write", Fault(() => Copy(Pipeline.Replace("cp.async.wait_group 0;", weaker, StringComparison.Ordinal), 16)));
        Assert.Contains("race in Pipeline: thread 0 reads what thread 31 wrote", Fault(() => Copy(Pipeline.Replace("bar.sync 0;", "", StringComparison.Ordinal), 16)));
        Assert.Contains("cp.async cannot copy 8 bytes", Fault(() => Copy(Pipeline.Replace("16, %r9", "8, 8", StringComparison.Ordinal), 16)));
    }

    [TestMethod]
    public void What_is_unknown_is_named()
    {
        Assert.Contains("does not know 'add.sat.s32'", Fault(() => RunExchange(Exchange.Replace("sub.s32", "add.sat.s32", StringComparison.Ordinal))));
        Assert.Contains("does not know 'ld.shared.relaxed.b32'", Fault(() => RunExchange(Exchange.Replace("ld.shared", "ld.shared.relaxed", StringComparison.Ordinal))));
        Assert.Contains("names '%r9'", Fault(() => RunExchange(Exchange.Replace("%r3;", "%r9;", StringComparison.Ordinal))));
        Assert.Contains("no parameter of 8 bytes", Fault(() => RunExchange(Exchange.Replace("[_y]", "[_y+4]", StringComparison.Ordinal))));
        Assert.Contains("1 parameters, and 0", Fault(() => PtxMachine.Run(Exchange, null, One, One, 0)));
        Assert.Contains("'cp.async.cg.shared.global.L2::128B' needs sm_80", Fault(() => PtxMachine.Run(".target sm_75\n" + Pipeline, null, One, One, 0)));
        Assert.Contains("no kernel Other", Fault(() => PtxMachine.Run(Exchange, "Other", One, One, 0)));
    }

    /// <summary>D = A * B + C from shared memory through ldmatrix; both orders of B.</summary>
    [TestMethod, DataRow(16), DataRow(8)]
    public void Matrices_multiply_across_the_lanes_of_a_warp(int depth)
    {
        string a = depth == 16 ? "{%r10, %r11, %r12, %r13}" : "{%r10, %r11}", b = depth == 16 ? "{%r14, %r15}" : "{%r14}", x = depth == 16 ? "x4" : "x2", y = depth == 16 ? "x2" : "x1";
        string ptx = $$"""
            .extern .shared .align 16 .b8 __dyn_shared_alloca[];
            .visible .entry Product(.param .align 8 .b8 _a[16], .param .align 8 .b8 _b[16], .param .align 8 .b8 _d[16])
            {
                .reg .b32 %r<32>; .reg .b64 %rd<32>; .reg .f32 %f<8>; .reg .pred %p<2>;
                ld.param.b64 %rd1, [_a]; ld.param.b64 %rd2, [_b]; ld.param.b64 %rd3, [_d];
                mov.b64 %rd4, __dyn_shared_alloca;
                mov.b32 %r1, %tid.x;
                mul.wide.u32 %rd5, %r1, 16;
                add.u64 %rd6, %rd1, %rd5; add.u64 %rd7, %rd4, %rd5;
                cp.async.cg.shared.global [%rd7], [%rd6], 16;
                setp.ge.s32 %p1, %r1, {{depth}};
                @%p1 bra L_1;
                add.u64 %rd8, %rd2, %rd5;
                cp.async.cg.shared.global [%rd7+512], [%rd8], 16;
            L_1:
                cp.async.wait_all; bar.sync 0;
                and.b32 %r2, %r1, 15; shr.u32 %r3, %r1, 4; shl.b32 %r2, %r2, 5; shl.b32 %r3, %r3, 4; add.s32 %r2, %r2, %r3;
                cvt.u64.u32 %rd9, %r2; add.u64 %rd9, %rd9, %rd4;
                ldmatrix.sync.aligned.m8n8.{{x}}.shared.b16 {{a}}, [%rd9];
                and.b32 %r4, %r1, {{depth - 1}}; mul.wide.u32 %rd10, %r4, 16; add.u64 %rd10, %rd10, %rd4;
                ldmatrix.sync.aligned.m8n8.{{y}}.trans.shared.b16 {{b}}, [%rd10+512];
                mov.f32 %f1, 0f3F800000;
                mma.sync.aligned.m16n8k{{depth}}.row.col.f32.f16.f16.f32 {%f2, %f3, %f4, %f5}, {{a}}, {{b}}, {%f1, %f1, %f1, %f1};
                shr.u32 %r5, %r1, 2; and.b32 %r6, %r1, 3; shl.b32 %r5, %r5, 5; shl.b32 %r6, %r6, 3; add.s32 %r5, %r5, %r6;
                cvt.u64.u32 %rd11, %r5; add.u64 %rd11, %rd11, %rd3;
                st.global.v2.f32 [%rd11], {%f2, %f3};
                st.global.v2.f32 [%rd11+256], {%f4, %f5};
                ret;
            }
            """;
        // 16 rows of 16 halves, of which the first `depth` count; `depth` rows of 8.
        var left = new PtxBuffer<System.Half>([.. Enumerable.Range(0, 256).Select(i => (System.Half)(i * 37 % 61 - 30))]);
        var right = new PtxBuffer<System.Half>([.. Enumerable.Range(0, depth * 8).Select(i => (System.Half)(i * 23 % 41 - 20))]);
        var result = new PtxBuffer<float>(128);
        PtxMachine.Run(ptx, null, One, new(32, 1, 1), 1024, left, right, result);
        for (int i = 0; i < 128; i++)
            Assert.AreEqual(1 + Enumerable.Range(0, depth).Sum(k => (double)left.Values[i / 8 * 16 + k] * (double)right.Values[k * 8 + i % 8]), result.Values[i], $"element {i}");
    }

    [TestMethod]
    public void Lanes_shuffle_convert_and_diverge()
    {
        const string Ptx = """
            .visible .entry Mix(.param .align 8 .b8 _y[16])
            {
                .reg .b32 %r<12>; .reg .b64 %rd<4>; .reg .f32 %f<8>; .reg .pred %p<3>;
                ld.param.b64 %rd1, [_y];
                mov.b32 %r1, %laneid; mov.b32 %r2, 0; mov.b32 %r3, %r1;
            L_1:
                setp.gt.s32 %p1, %r3, 0;
                @!%p1 bra L_2;
                add.s32 %r2, %r2, %r3; sub.s32 %r3, %r3, 1;
                bra.uni L_1;
            L_2:
                shfl.sync.down.b32 %r4|%p2, %r2, 1, 0x1f, 0xffffffff;
                cvt.rn.f32.s32 %f1, %r4;
                selp.f32 %f2, %f1, 0fBF800000, %p2;
                cvt.rn.f16x2.f32 %r5, %f2, %f1;
                { .reg .b16 low, high; mov.b32 {low, high}, %r5; cvt.f32.f16 %f3, high; }
                mul.wide.u32 %rd2, %r1, 4; add.u64 %rd3, %rd1, %rd2;
                st.f32 [%rd3], %f3;
            }
            """;
        var y = new PtxBuffer<float>(32);
        PtxMachine.Run(Ptx, null, One, new(32, 1, 1), 0, y);
        for (int i = 0; i < 32; i++) Assert.AreEqual(i == 31 ? -1f : (i + 1) * (i + 2) / 2, y.Values[i], $"lane {i}");
    }

    /// <summary>A kernel of the house, as ILGPU compiles it, with shared memory, barriers and a struct of views and scalars.</summary>
    [TestMethod]
    public void A_product_of_the_house_runs_from_its_PTX()
    {
        const int M = 5, N = 7, K = 33;
        var method = typeof(PortableProduct).GetMethod("Run", BindingFlags.Static | BindingFlags.NonPublic)!.MakeGenericMethod(typeof(float), typeof(SingleStorage), typeof(SmallTile), typeof(ByElements), typeof(GpuDense), typeof(GpuDense), typeof(Unchanged));
        string ptx = PtxCheck.Compile(new BoundKernel(method, Grouped: true));
        var tensor = new Tensor("all", ElementType.Single, Region.Activations, 1);
        var accelerator = IlgpuDevice.Simulator.Accelerator;
        float[] a = [.. Enumerable.Range(0, M * K).Select(i => i % 13 - 6f)], b = [.. Enumerable.Range(0, K * N).Select(i => i % 11 - 5f)];
        using var left = accelerator.Allocate1D(a);
        using var right = accelerator.Allocate1D(b);
        using var result = accelerator.Allocate1D<float>(M * N);
        ArrayView<float> c = result.View;
        long steps = PtxMachine.Run(ptx, null, One, new(64, 1, 1), 0, new PortableProduct.Arguments<float, GpuDense, GpuDense, Unchanged>(
            left.View, right.View, new(new(tensor, M, K, 0, K, false)), new(new(tensor, K, N, 0, N, false)), 0, 0, M, N, K, 2, 1, 48, c, new(c, c, 0, 0, 0, 0, N, default)));
        Assert.IsGreaterThan(100, steps);
        float[] values = result.GetAsArray1D();
        for (int i = 0; i < M * N; i++) Assert.AreEqual(Enumerable.Range(0, K).Sum(k => a[i / N * K + k] * b[k * N + i % N]), values[i], $"element {i}");
        Assert.Contains("race", Fault(() => PtxMachine.Run(ptx.Replace("bar.sync\t0;", "", StringComparison.Ordinal), null, Two, new(64, 1, 1), 0, new PortableProduct.Arguments<float, GpuDense, GpuDense, Unchanged>(
            left.View, right.View, new(new(tensor, M, K, 0, K, false)), new(new(tensor, K, N, 0, N, false)), 0, 0, M, N, K, 2, 1, 48, c, new(c, c, 0, 0, 0, 0, N, default)))));
    }
}
