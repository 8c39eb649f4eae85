namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Operands as kernels see them.</summary>
[TestClass]
public sealed class GpuOperandTests
{
    private static readonly Conv2dGeometry[] Geometries =
    [
        new(2, 5, 4, 16, 8, new(3, 1, 1, 1), Groups: 2),
        new(1, 7, 9, 8, 8, new(3, 2, 1, 1), Groups: 1),
        new(2, 6, 5, 8, 8, new(new(2, 3), new(1, 2), new(1, 2), new(3, 2)), Groups: 1),
        new(1, 3, 4, 8, 8, new(GpuMaskedPatches.MostTaps, 1, 15, 1), Groups: 1), // mostly padding, on both sides
        new(1, 20, 17, 8, 8, new(GpuMaskedPatches.MostTaps, 3, 2, 1), Groups: 1),
    ];

    /// <summary>The mask of a row knows what the comparisons of pixels know, and finds the same places.</summary>
    [TestMethod]
    public void A_masked_row_has_what_the_patches_have()
    {
        int outside = 0;
        foreach (var g in Geometries)
        {
            outside += Compare(new(g, g.Groups - 1), g.OutPixels, g.Patch);
            if (g.Window.Stride == 1) outside += Compare(GpuPatches.OfGradient(g, g.Groups - 1), g.Batch * g.Height * g.Width, g.KernelHeight * g.KernelWidth * g.GroupFilters);
        }
        Assert.IsGreaterThan(1000, outside);
    }

    /// <summary>How many elements are zeros that nobody stored.</summary>
    private static int Compare(GpuPatches patches, int rows, int columns)
    {
        var masked = new GpuMaskedPatches(patches);
        int outside = 0;
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                bool has = patches.Has(patches.Row(row), patches.Column(column));
                Assert.AreEqual(has, masked.Has(masked.Row(row), masked.Column(column)), $"row {row}, column {column}");
                if (has) Assert.AreEqual(patches.Row(row).X + patches.Column(column).X, masked.Row(row).X + masked.Column(column).X, $"row {row}, column {column}");
                else outside++;
            }
        }
        return outside;
    }

    /// <summary>A kernel that is larger than a mask is multiplied by single warps.</summary>
    [TestMethod]
    public void A_kernel_that_no_mask_holds_is_not_for_warp_groups()
    {
        var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator, HalfFormat.Native, tensorCores: true, warpGroups: true);
        using var run = new ProductRun(backend);
        var tensor = run.Filled("all", 1 << 15);
        bool WarpGroups(int kernel, bool transposed)
        {
            var g = new Conv2dGeometry(1, 20, 20, 8, 8, new(kernel, 1, 0, 1), Groups: 1);
            return TensorBinder.PlanOf(backend, new("Test", new PatchesOperand(tensor, g, 0, transposed), new DenseOperand(tensor, transposed ? g.OutPixels : g.Patch, 8, 0, 8, false), tensor, 0, 8)).Tile.OfWarpGroups;
        }
        Assert.IsTrue(WarpGroups(GpuMaskedPatches.MostTaps, transposed: false));
        Assert.IsFalse(WarpGroups(GpuMaskedPatches.MostTaps + 1, transposed: false));
        Assert.IsTrue(WarpGroups(GpuMaskedPatches.MostTaps + 1, transposed: true)); // its rows change with k: it compares pixels
    }
}
