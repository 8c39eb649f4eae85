using System.Text.RegularExpressions;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The portable product: how it is laid out, and each of its tiles, which a shape alone would not choose for a test's small sizes.</summary>
[TestClass]
public sealed partial class PortableProductTests
{
    private static readonly (int M, int N, int K, int PartDepth)[] Sizes = [(1, 1, 1, 32), (64, 64, 32, 32), (65, 33, 17, 32), (36, 100, 68, 32), (67, 64, 40, 64), (132, 70, 99, 64)];

    private static readonly Conv2dGeometry[] Geometries =
    [
        new(2, 5, 4, 8, 36, new(3, 1, 1, 1), Groups: 1), // by quads
        new(1, 9, 8, 3, 34, new(3, 2, 1, 1), Groups: 1), // by elements, in phases
        new(2, 7, 9, 8, 16, new(new(2, 3), new(2, 1), new(1, 2), new(1, 2)), Groups: 2), // by quads, in phases
        new(2, 6, 5, 6, 3, new(new(3, 2), new(1, 3), new(0, 1), new(2, 1)), Groups: 3),
    ];

    /// <summary>Every row of a GPU's with each tile.</summary>
    public static IEnumerable<TestDataRow<(BackendRow Row, int Side)>> WithTiles =>
        from row in BackendMatrix.Gpu
        from side in (int[])[32, 64]
        select new TestDataRow<(BackendRow, int)>((row.Value, side)) { DisplayName = $"{row.DisplayName}, {side} x {side}", IgnoreMessage = row.IgnoreMessage };

    [TestMethod, DynamicData(nameof(WithTiles))]
    public void Dense_operands_with_a_bias((BackendRow Row, int Side) test)
    {
        foreach (var (m, n, k, partDepth) in Sizes)
        {
            foreach (bool transposedA in (ReadOnlySpan<bool>)[false, true])
            {
                using var run = new ProductRun(test.Row.Create());
                ProductChecks.Dense(run, m, n, k, transposedA, transposedB: transposedA ^ (m > 64), product => new Fixed(product, test.Side, partDepth));
            }
        }
    }

    [TestMethod, DynamicData(nameof(WithTiles))]
    public void The_three_passes_of_a_convolution((BackendRow Row, int Side) test)
    {
        foreach (var g in Geometries)
        {
            using var run = new ProductRun(test.Row.Create());
            ProductChecks.Convolution(run, g, product => new Fixed(product, test.Side, 64));
        }
    }

    /// <summary>The large tile's kernels of dense operands and of convolutions, read by quads and by elements: plans of networks as small as a test's have the small one's.</summary>
    internal static IReadOnlyCollection<BoundKernel> Kernels(Precision precision)
    {
        var backend = new IlgpuBackend(precision, IlgpuDevice.Simulator, tensorCores: false);
        using var run = new ProductRun(backend);
        Tensor tensor = run.Filled("all", 8192);
        DenseOperand Dense(int rows, int columns) => new(tensor, rows, columns, 0, columns, Transposed: false);
        foreach (int size in (ReadOnlySpan<int>)[8, 5]) Bind(new("Dense", Dense(size, size), Dense(size, size), tensor, 0, size, tensor));
        foreach (var g in Geometries[..2])
        {
            Bind(new("Forward", new PatchesOperand(tensor, g, 0, false), Dense(g.Patch, g.GroupFilters), tensor, 0, g.Filters));
            Bind(new("WeightGradient", new PatchesOperand(tensor, g, 0, true), Dense(g.OutPixels, g.GroupFilters), tensor, 0, g.GroupFilters));
            foreach (int stride in (ReadOnlySpan<int>)[1, 2])
            {
                var strided = g with { Window = new(3, stride, 1, 1) };
                Bind(new("InputGradient", new GradientPatchesOperand(tensor, strided, 0), new ReversedTapsOperand(tensor, strided, 0), tensor, 0, g.Channels));
            }
        }
        return [.. backend.Kernels];

        void Bind(MatrixProduct product) => backend.Bind(new Fixed(product, LargeTile.Side, 64));
    }

    /// <summary>A tile is right only while its threads wait for each other.</summary>
    [TestMethod]
    [DataRow(32)]
    [DataRow(64)]
    public void A_removed_barrier_is_found(int side)
    {
        int barriers = 0;
        Run(ptx =>
        {
            barriers = Barrier().Count(ptx);
            return ptx;
        });
        Assert.AreEqual(2, barriers);
        for (int i = 0; i < barriers; i++)
        {
            int removed = i;
            Assert.Contains("race", Assert.ThrowsExactly<PtxFaultException>(() => Run(ptx => Barrier().Matches(ptx)[removed] is var found ? ptx.Remove(found.Index, found.Length) : ptx)).Message);
        }

        void Run(Func<string, string> edit)
        {
            using var run = new ProductRun(new IlgpuBackend(Precision.Single, new PtxDevice(CudaArchitecture.SM_80, edit)));
            ProductChecks.Dense(run, 40, 36, 68, transposedA: false, transposedB: false, product => new Fixed(product, side, 128));
        }
    }

    [GeneratedRegex(@"bar\.sync\s+0;")]
    private static partial Regex Barrier();

    [TestMethod]
    public void Few_tiles_and_a_long_k_make_parts()
    {
        Assert.AreEqual(new PortablePlan(32, 1, 512), PortablePlan.Of(1, 1, 511));
        Assert.AreEqual(new PortablePlan(32, 2, 256), PortablePlan.Of(1, 1, 512));
        Assert.AreEqual(new PortablePlan(64, 98, 256), PortablePlan.Of(288, 64, 25_088)); // five tiles, 490 groups with 256 values of k each
        Assert.AreEqual(new PortablePlan(64, 1, 100_000), PortablePlan.Of(4096, 512, 100_000)); // tiles enough
    }

    [TestMethod]
    public void Large_tiles_are_for_a_result_that_fills_them_and_a_GPU()
    {
        Assert.AreEqual(64, PortablePlan.Of(1024, 1024, 64).Side); // 256 groups
        Assert.AreEqual(32, PortablePlan.Of(1024, 1000 - 64, 64).Side); // 240 large ones
        Assert.AreEqual(64, PortablePlan.Of(1024, 64, 64, count: 16).Side);
        Assert.AreEqual(64, PortablePlan.Of(256, 256, 4096).Side); // by parts
        Assert.AreEqual(32, PortablePlan.Of(100_000, 32, 4096).Side); // half of each would be empty
        Assert.AreEqual(64, PortablePlan.Of(100_000, 33, 4096).Side);
    }

    [TestMethod]
    public void The_sums_of_all_parts_fit_their_place()
    {
        foreach (int m in (ReadOnlySpan<int>)[1, 31, 32, 33, 288, 1000, 100_000])
        {
            foreach (int n in (ReadOnlySpan<int>)[1, 10, 33, 512, 4096])
            {
                foreach (int k in (ReadOnlySpan<int>)[1, 511, 512, 4097, 3_000_000])
                {
                    var (_, parts, depth) = PortablePlan.Of(m, n, k);
                    Assert.IsTrue(parts == 1 || (long)parts * m * n <= PortablePlan.MostPartialSums, $"{m} x {n} x {k}: {parts}");
                    Assert.IsTrue(parts == 1 || k / parts >= 256, $"{m} x {n} x {k}: {parts}");
                    Assert.IsTrue((long)parts * depth >= k, $"{m} x {n} x {k}: {parts} of {depth}");
                }
            }
        }
    }

    [TestMethod]
    public void A_divisor_divides_every_number_that_an_index_can_be()
    {
        foreach (int d in (ReadOnlySpan<int>)[1, 2, 3, 5, 7, 28, 31, 32, 33, 641, 1023, 65535, 65536, 65537, 1_000_003, (1 << 30) - 1, 1 << 30, (1 << 30) + 1, int.MaxValue])
        {
            var divisor = new Divisor(d);
            for (int i = 0; i < 3000; i++)
            {
                foreach (long n in (ReadOnlySpan<long>)[i, int.MaxValue - i, (long)d * i - 1, (long)d * i, (long)d * (int.MaxValue / d) - 1 - i])
                    if (n is >= 0 and <= int.MaxValue) Assert.AreEqual((int)n / d, divisor.Divide((int)n), $"{n} / {d}");
            }
        }
    }

    /// <summary>A product with a given tile and given parts, where the plan would choose others.</summary>
    private sealed class Fixed(MatrixProduct product, int side, int partDepth) : BoundProduct(product)
    {
        public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => PortableProduct.Bind<T, TStorage>(gpu, Product, new(side, Parts(partDepth), partDepth));
    }
}
