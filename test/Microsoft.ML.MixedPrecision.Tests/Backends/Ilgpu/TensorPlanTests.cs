namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Which tile a product gets on tensor cores, and into how many parts its k is cut.</summary>
[TestClass]
public sealed class TensorPlanTests
{
    [TestMethod]
    public void Large_matrices_get_large_tiles_and_small_ones_small_tiles()
    {
        Assert.AreEqual(new TensorPlan(TensorPlan.Large, 1, 8192), TensorPlan.Choose(8192, 8192, 8192));
        Assert.AreEqual(new TensorPlan(TensorPlan.Small, 1, 64), TensorPlan.Choose(64, 64, 64));
    }

    [TestMethod]
    public void Warp_groups_have_tiles_of_their_own()
    {
        Assert.AreEqual(new TensorPlan(TensorPlan.Tallest, 1, 8192), TensorPlan.Choose(8192, 8192, 8192, warpGroups: true));
        Assert.AreEqual(new TensorPlan(TensorPlan.Smallest, 1, 64), TensorPlan.Choose(64, 64, 64, warpGroups: true));
        Assert.AreEqual(TensorPlan.Narrow, TensorPlan.Choose(128 * 56 * 56, 64, 576, warpGroups: true).Tile);
    }

    /// <summary>An operand that comes element by element makes each step of k long, and a product of few tiles waits for nothing else.</summary>
    [TestMethod]
    public void Operands_by_elements_make_more_parts()
    {
        Assert.AreEqual(1, TensorPlan.Choose(128, 10, 256).Parts);
        Assert.IsGreaterThan(1, TensorPlan.Choose(128, 10, 256, byElements: 1).Parts);
        Assert.IsGreaterThan(128, TensorPlan.Choose(147, 64, 128 * 112 * 112, byElements: 1).Parts);
    }

    [TestMethod]
    public void A_small_C_and_a_long_k_make_parts()
    {
        var plan = TensorPlan.Choose(576, 64, 128 * 56 * 56); // a weight gradient of ResNet-50: 9 tiles of 64 x 64
        Assert.IsGreaterThan(8, plan.Parts);
        Assert.AreEqual(1, TensorPlan.Choose(128 * 56 * 56, 64, 576).Parts);
    }

    /// <summary>Many groups of a convolution fill a GPU without parts, where one of them would not; and their sums share the one place.</summary>
    [TestMethod]
    public void Several_products_fill_the_GPU_together()
    {
        const int M = 36, N = 64, K = 4096;
        Assert.IsGreaterThan(TensorPlan.Choose(M, N, K, count: 512).Parts, TensorPlan.Choose(M, N, K).Parts);
        foreach (int count in (ReadOnlySpan<int>)[2, 100, 10_000])
        {
            var plan = TensorPlan.Choose(M, N, 1_000_000, count);
            Assert.IsTrue(plan.Parts == 1 || (long)count * plan.Parts * M * N <= TensorPlan.MostPartialSums, $"{count}: {plan}");
        }
    }

    /// <summary>A strided gradient of one small image has few tiles in each phase, and they share the GPU: k is cut for all of them together, as far as the longest reaches.</summary>
    [TestMethod]
    public void The_phases_of_a_stride_are_products_of_one_launch()
    {
        foreach (var (batch, groups) in ((int, int)[])[(1, 1), (2, 4), (128, 1)])
        {
            var g = new Conv2dGeometry(batch, 14, 14, 512, 512, new(3, 2, 1, 1), groups);
            Tensor gradient = new("gradient", ElementType.Working, Region.Activations, g.OutPixels, g.Filters), weights = new("weights", ElementType.Working, Region.Parameters, g.Groups * (int)g.GroupWeights);
            var image = new Tensor("image", ElementType.Working, Region.Activations, g.InPixels, g.Channels);
            var product = new MatrixProduct("Test", new GradientPatchesOperand(gradient, g, 0), new ReversedTapsOperand(weights, g, 0), image, 0, g.Channels, count: groups, step: g.GroupChannels);
            var (plan, phases) = (TensorPlan.Of(product, warpGroups: false, byElements: 0), GradientPhases.Of(product));
            Assert.AreEqual((4, batch * 7 * 7, 4 * g.GroupFilters), (phases.Count, phases.MostRows, phases.MostDepth));
            Assert.AreEqual(batch == 1, plan.Parts > 1, $"batch {batch}: {plan}");
            Assert.IsGreaterThanOrEqualTo(phases.MostDepth, plan.Parts * plan.PartDepth);
            Assert.IsTrue(plan.Parts == 1 || (long)phases.Count * groups * plan.Parts * phases.MostRows * product.N <= TensorPlan.MostPartialSums, $"batch {batch}: {plan}");
        }
    }

    [TestMethod]
    public void Parts_cover_k_once_and_their_sums_fit_their_place()
    {
        foreach (int m in (ReadOnlySpan<int>)[1, 63, 64, 129, 1000, 100_000])
        {
            foreach (int n in (ReadOnlySpan<int>)[1, 10, 65, 512, 4096])
            {
                foreach (int k in (ReadOnlySpan<int>)[1, 31, 32, 257, 4097, 3_000_000])
                {
                    var plan = TensorPlan.Choose(m, n, k);
                    string shape = $"{m} x {n} x {k}: {plan}";
                    Assert.AreEqual(0, plan.PartDepth % TensorProduct.Depth, shape);
                    Assert.IsGreaterThanOrEqualTo(k, (long)plan.Parts * plan.PartDepth, shape);
                    Assert.IsLessThan(k, (plan.Parts - 1L) * plan.PartDepth, shape);
                    Assert.IsTrue(plan.Parts == 1 || (long)plan.Parts * m * n <= TensorPlan.MostPartialSums, shape);
                }
            }
        }
    }
}
