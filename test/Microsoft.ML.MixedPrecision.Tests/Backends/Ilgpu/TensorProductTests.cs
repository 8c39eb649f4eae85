using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// The tensor-core products on the simulator, as PTX and on a GPU that is there, against sums in FP64: every tile, every operand, sizes that are and, where warps
/// multiply alone, are not multiples of eight, one part of k and several.
/// </summary>
[TestClass]
public sealed class TensorProductTests
{
    internal static readonly TensorTile[] OfWarps = [TensorPlan.Small, TensorPlan.Tall, TensorPlan.Large], OfWarpGroups = [TensorPlan.Smallest, TensorPlan.Narrow, TensorPlan.Square, TensorPlan.Tallest];

    /// <summary>A row names its tile by its number here: rows are public, tiles are not.</summary>
    internal static readonly TensorTile[] Tiles = [.. OfWarps, .. OfWarpGroups];

    private static readonly (int M, int N, int K, int PartDepth)[] Sizes =
        [(8, 8, 8, 32), (64, 64, 32, 32), (136, 72, 104, 128), (72, 200, 136, 64), (1, 1, 1, 32), (65, 33, 17, 32), (130, 67, 99, 64), (264, 136, 328, 192)];

    private static readonly Conv2dGeometry[] Geometries =
    [
        new(2, 5, 4, 8, 16, new(3, 1, 1, 1), Groups: 1),
        new(1, 9, 8, 3, 8, new(3, 2, 1, 1), Groups: 1),
        new(2, 7, 9, 16, 32, new(new(2, 3), new(2, 1), new(1, 2), new(1, 2)), Groups: 2),
        new(2, 6, 5, 3, 3, new(new(3, 2), new(1, 3), new(0, 1), new(2, 1)), Groups: 3),
        new(1, 10, 9, 72, 136, new(3, 1, 1, 1), Groups: 1),
        new(3, 9, 10, 16, 24, new(3, 2, 1, 1), Groups: 1),
        new(2, 7, 6, 72, 8, new(1, 2, 0, 1), Groups: 1), // pixels that no window sees
        new(1, 11, 9, 8, 32, new(new(3, 5), new(2, 4), new(2, 3), new(2, 2)), Groups: 2), // taps of which the dilation leaves some phases none
        new(2, 2, 13, 8, 8, new(2, 3, 1, 1), Groups: 1), // an image smaller than the stride
    ];

    /// <summary>Every tile on the simulator; as PTX for GPUs with and without asynchronous copies, or for Hopper; and on a GPU.</summary>
    public static IEnumerable<TestDataRow<(string Device, int Tile)>> All =>
    [
        .. Rows("simulator", [.. OfWarps, .. OfWarpGroups]), .. Rows("ptx sm_80", OfWarps), .. Rows("ptx sm_75", OfWarps), .. Rows("ptx sm_90", OfWarpGroups),
        .. Rows("cuda", OfWarps, OnCuda(device => device.HasTensorCores)), .. Rows("cuda", OfWarpGroups, OnCuda(device => device.HasWarpGroups)),
    ];

    private static IEnumerable<TestDataRow<(string Device, int Tile)>> Rows(string device, TensorTile[] tiles, string? absent = null) => tiles.Select(tile =>
        new TestDataRow<(string, int)>((device, Array.IndexOf(Tiles, tile))) { DisplayName = $"{device}, {tile.Rows} x {tile.Columns}{(tile.OfWarpGroups ? " by warp groups" : "")}", IgnoreMessage = absent });

    /// <summary>Null where there is a CUDA device that can do something, else why not.</summary>
    private static string? OnCuda(Func<IlgpuDevice, bool> can)
    {
        var survey = IlgpuDevice.Survey(AcceleratorType.Cuda);
        return survey.Names.Count == 0 ? $"No cuda device: {survey.Missing}" : can(IlgpuDevice.Open(AcceleratorType.Cuda, 0)) ? null : $"{survey.Names[0]} lacks the instructions.";
    }

    [TestMethod, DynamicData(nameof(All))]
    public void Dense_operands_with_a_bias((string Device, int Tile) row)
    {
        foreach (var (m, n, k, partDepth) in Sizes.Where(size => !Tiles[row.Tile].OfWarpGroups || ((size.M | size.N | size.K) & 7) == 0))
        {
            foreach (bool transposedA in (ReadOnlySpan<bool>)[false, true])
            {
                using var run = Create(row.Device);
                ProductChecks.Dense(run, m, n, k, transposedA, transposedB: transposedA ^ (m > 64), product => new Fixed(product, Tiles[row.Tile], partDepth));
            }
        }
    }

    [TestMethod, DynamicData(nameof(All))]
    public void The_three_passes_of_a_convolution((string Device, int Tile) row)
    {
        foreach (var g in Geometries.Where(g => !Tiles[row.Tile].OfWarpGroups || ((g.GroupChannels | g.GroupFilters) & 7) == 0))
        {
            using var run = Create(row.Device);
            ProductChecks.Convolution(run, g, product => new Fixed(product, Tiles[row.Tile], 64));
        }
    }

    internal static ProductRun Create(string device) => new(new IlgpuBackend(Precision.Mixed, device switch
    {
        "simulator" => IlgpuDevice.Simulator,
        "ptx sm_75" => PtxDevice.Turing,
        "ptx sm_80" => PtxDevice.Ampere,
        "ptx sm_90" => PtxDevice.Hopper,
        _ => IlgpuDevice.Open(AcceleratorType.Cuda, 0),
    }, HalfFormat.Native, tensorCores: true, warpGroups: true));

    /// <summary>A product with a given tile and given parts, where the plan would choose others.</summary>
    internal sealed class Fixed(MatrixProduct product, TensorTile tile, int partDepth) : BoundProduct(product)
    {
        public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => TensorBinder.Bind<T, TStorage>(gpu, Product, new(tile, Parts(partDepth), partDepth));
    }
}
