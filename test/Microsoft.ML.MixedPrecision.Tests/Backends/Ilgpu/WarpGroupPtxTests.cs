using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What ILGPU makes of Hopper's product, without a GPU.</summary>
[TestClass]
public sealed class WarpGroupPtxTests
{
    private static readonly Conv2dGeometry Geometry = new(2, 5, 4, 16, 32, new(3, 1, 1, 1), Groups: 2), Strided = Geometry with { Window = new(3, 2, 1, 1) };

    internal static readonly TensorTile[] Tiles = [TensorPlan.Tallest, TensorPlan.Square, TensorPlan.Narrow, TensorPlan.Smallest];

    [TestMethod]
    public void Every_product_becomes_clean_PTX_with_warp_group_instructions()
    {
        foreach (var kernel in Kernels())
        {
            PtxCheck.Verify(kernel);
            string ptx = PtxCheck.Compile(kernel, CudaArchitecture.SM_90), name = KernelCatalog.NameOf(kernel);
            Assert.Contains("wgmma.mma_async.sync.aligned.m64n", ptx, name);
            Assert.Contains(".target sm_90a", ptx, name);
            Assert.Contains(".align 1024 .b8", ptx, name);
            Assert.Contains("cp.async.cg.shared.global", ptx, name);
        }
    }

    /// <summary>The products of a linear layer and of a convolution, and one that sums columns, as the tiles' kernels.</summary>
    internal static IReadOnlyCollection<BoundKernel> Kernels()
    {
        var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator, HalfFormat.Native, tensorCores: true, warpGroups: true);
        using var run = new ProductRun(backend);
        Tensor tensor = run.Filled("all", 8192), summed = run.Filled("summed", 1, 8, 8);
        var statistics = TileSumsTests.Statistics(run, summed, valid: 1);
        DenseOperand Dense(int rows, int columns, bool transposed = false) => new(tensor, rows, columns, 0, transposed ? rows : columns, transposed);
        var g = Geometry;
        foreach (var tile in Tiles)
        {
            foreach (bool transposed in (ReadOnlySpan<bool>)[false, true]) Bind(tile, new("Dense", Dense(8, 8, transposed), Dense(8, 8, !transposed), tensor, 0, 8, tensor));
            Bind(tile, new MatrixProduct("Summed", Dense(8, 8), Dense(8, 8), summed, 0, 8).ReadBy(statistics)!);
            Bind(tile, new("Forward", new PatchesOperand(tensor, g, 0, false), Dense(g.Patch, g.GroupFilters), tensor, 0, g.Filters));
            Bind(tile, new("WeightGradient", new PatchesOperand(tensor, g, 0, true), Dense(g.OutPixels, g.GroupFilters), tensor, 0, g.GroupFilters));
            foreach (var geometry in (ReadOnlySpan<Conv2dGeometry>)[g, Strided])
                Bind(tile, new("InputGradient", new GradientPatchesOperand(tensor, geometry, 0), new ReversedTapsOperand(tensor, geometry, 0), tensor, 0, g.Channels));
        }
        return [.. backend.Kernels];

        void Bind(TensorTile tile, MatrixProduct product) => TensorBinder.Bind<ILGPU.Half, SimulatedHalfStorage>(backend, product, new(tile, 1, 64));
    }
}
