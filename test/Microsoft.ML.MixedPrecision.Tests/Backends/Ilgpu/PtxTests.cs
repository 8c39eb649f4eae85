namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What ILGPU makes of the kernels for CUDA, without a GPU.</summary>
[TestClass]
public sealed class PtxTests
{
    private static readonly Conv2dGeometry Geometry = new(2, 5, 4, 4, 6, new(3, 1, 1, 1), Groups: 2), Strided = new(1, 5, 4, 2, 260, new(3, 2, 1, 1), Groups: 2);

    [TestMethod, DynamicData(nameof(BackendMatrix.Simulator), typeof(BackendMatrix))]
    public void Every_product_becomes_clean_PTX(BackendRow row)
    {
        using var backend = (IlgpuBackend)row.Create();
        foreach (var product in Products(backend)) backend.Bind(product);
        Assert.HasCount(7, backend.Kernels); // five products, and the sums over the parts of a long k, which a strided gradient scatters
        PtxCheck.Verify(backend);
        foreach (var kernel in backend.Kernels.Where(k => k.Grouped))
        {
            string ptx = PtxCheck.Compile(kernel);
            Assert.Contains("bar.sync", ptx);
            Assert.Contains("ld.shared.v4.f32", ptx, "shared memory is read four floats at a time");
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Simulator), typeof(BackendMatrix))]
    public void Every_kernel_of_a_plan_becomes_clean_PTX(BackendRow row)
    {
        var x = Network.Vector(5);
        var options = new PlanOptions(2, row.Precision, new SoftmaxCrossEntropy(), new Sgd()) { AccumulationSteps = 2, ClipNorm = 1f };
        using var backend = (IlgpuBackend)row.Create();
        using var session = new TrainingSession(PlanBuilder.Build((x.Relu() + x).Linear(3), options), backend, poison: true);
        Assert.IsGreaterThan(10, backend.Kernels.Count);
        PtxCheck.Verify(backend);
    }

    private static MatrixProduct[] Products(Backend backend)
    {
        var g = Geometry;
        var tensor = new Tensor("all", ElementType.Working, Region.Activations, 4096) { ArenaOffset = 0 };
        backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = 4 * 4096 });
        DenseOperand Dense(int rows, int columns) => new(tensor, rows, columns, 0, columns, false);
        return
        [
            new("Dense", Dense(4, 5), Dense(5, 6), tensor, 0, 6, tensor),
            new("Long", Dense(2, 600), Dense(600, 2), tensor, 0, 2),
            new("Forward", new PatchesOperand(tensor, g, 1, false), Dense(g.Patch, g.GroupFilters), tensor, 0, g.Filters),
            new("WeightGradient", new PatchesOperand(tensor, g, 1, true), Dense(g.OutPixels, g.GroupFilters), tensor, 0, g.GroupFilters),
            new("InputGradient", new GradientPatchesOperand(tensor, g, 1), new ReversedTapsOperand(tensor, g, 1), tensor, 0, g.Channels),
            new("InputGradient", new GradientPatchesOperand(tensor, Strided, 1), new ReversedTapsOperand(tensor, Strided, 1), tensor, 0, Strided.Channels),
        ];
    }
}
