using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What ILGPU makes of the tensor-core product for CUDA, without a GPU.</summary>
[TestClass]
public sealed class TensorPtxTests
{
    private static readonly Conv2dGeometry Whole = new(2, 5, 4, 16, 32, new(3, 1, 1, 1), Groups: 2), Odd = new(2, 5, 4, 3, 5, new(3, 1, 1, 1), Groups: 1);

    private static readonly Conv2dGeometry[] Strided = [Whole with { Window = new(3, 2, 1, 1) }, Odd with { Window = new(3, 2, 1, 1) }];

    [TestMethod]
    public void Every_product_becomes_clean_PTX_with_tensor_core_instructions()
    {
        foreach (var kernel in Kernels())
        {
            PtxCheck.Verify(kernel);
            string ampere = PtxCheck.Compile(kernel, CudaArchitecture.SM_80), turing = PtxCheck.Compile(kernel, CudaArchitecture.SM_75), name = kernel.Method.ToString()!;
            Assert.Contains("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", ampere, name);
            Assert.Contains("ldmatrix.sync.aligned.m8n8.x4", ampere, name);
            Assert.AreEqual(name.Contains("WholeChunks`1", StringComparison.Ordinal), ampere.Contains("cp.async.cg.shared.global", StringComparison.Ordinal), name);
            Assert.Contains("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", turing, name);
            Assert.DoesNotContain("cp.async", turing, name);
            Assert.DoesNotContain("m16n8k16", turing, name);
        }
    }

    /// <summary>The products of a linear layer and of convolutions, whole and odd, and one that sums columns, as the tiles' kernels.</summary>
    internal static IReadOnlyCollection<BoundKernel> Kernels()
    {
        var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator, HalfFormat.Native, tensorCores: true);
        using var run = new ProductRun(backend);
        Tensor tensor = run.Filled("all", 8192), summed = run.Filled("summed", 1, 8, 8);
        var statistics = TileSumsTests.Statistics(run, summed, valid: 1);
        DenseOperand Dense(int rows, int columns, bool transposed = false) => new(tensor, rows, columns, 0, transposed ? rows : columns, transposed);
        foreach (var tile in (ReadOnlySpan<TensorTile>)[TensorPlan.Small, TensorPlan.Tall, TensorPlan.Large])
        {
            foreach (bool transposed in (ReadOnlySpan<bool>)[false, true])
            {
                foreach (int size in (ReadOnlySpan<int>)[8, 5])
                    Bind(tile, new("Dense", Dense(size, size, transposed), Dense(size, size, !transposed), tensor, 0, size, tensor));
            }
            Bind(tile, new MatrixProduct("Summed", Dense(8, 8), Dense(8, 8), summed, 0, 8).ReadBy(statistics)!);
            foreach (var g in (ReadOnlySpan<Conv2dGeometry>)[Whole, Odd])
            {
                Bind(tile, new("Forward", new PatchesOperand(tensor, g, 0, false), Dense(g.Patch, g.GroupFilters), tensor, 0, g.Filters));
                Bind(tile, new("WeightGradient", new PatchesOperand(tensor, g, 0, true), Dense(g.OutPixels, g.GroupFilters), tensor, 0, g.GroupFilters));
                Bind(tile, new("InputGradient", new GradientPatchesOperand(tensor, g, 0), new ReversedTapsOperand(tensor, g, 0), tensor, 0, g.Channels));
            }
            foreach (var g in Strided) Bind(tile, new("InputGradient", new GradientPatchesOperand(tensor, g, 0), new ReversedTapsOperand(tensor, g, 0), tensor, 0, g.Channels));
        }
        return [.. backend.Kernels];

        void Bind(TensorTile tile, MatrixProduct product) => TensorBinder.Bind<ILGPU.Half, SimulatedHalfStorage>(backend, product, new(tile, 1, 32));
    }
}
