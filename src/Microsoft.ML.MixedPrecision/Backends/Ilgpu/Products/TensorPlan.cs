namespace Microsoft.ML.MixedPrecision;

/// <summary>A tile of <see cref="TensorProduct"/> or of <see cref="WarpGroupProduct"/>, and what is known of its cost.</summary>
/// <param name="Rows">Of C.</param>
/// <param name="Columns">Of C.</param>
/// <param name="Threads">Of a group.</param>
/// <param name="Resident">Groups that share a multiprocessor: by registers, or by shared memory on sm_80.</param>
/// <param name="Efficiency">Of the multiprocessor's rate with that many groups: smaller tiles load more for each multiplication.</param>
/// <param name="Depth">Values of k in a step.</param>
/// <param name="SharedBytes">What a launch must ask for: the ring of a <see cref="WarpGroupProduct"/>.</param>
internal readonly record struct TensorTile(int Rows, int Columns, int Threads, int Resident, double Efficiency, int Depth = TensorProduct.Depth, int SharedBytes = 0)
{
    /// <summary>Whether warp groups make it.</summary>
    public bool OfWarpGroups => SharedBytes > 0;

    /// <summary>
    /// Groups that the assembler is told must share a multiprocessor's registers; 0 where it needs no telling. With one register more than 128 for a thread, the largest tile's groups
    /// would run alone; left alone, the assembler gives a thread of the middle one 160 for some operands.
    /// </summary>
    public int LimitedTo => this == TensorPlan.Small ? 0 : Resident;

    public static TensorTile Of<TShape, TSums>(int resident, double efficiency) where TShape : struct, IGroupShape where TSums : struct, IGroupSums<TSums>
    {
        int rows = TShape.WarpGroups * TShape.Blocks * 64;
        return new(rows, TSums.Columns, TShape.WarpGroups * 128, resident, efficiency, WarpGroupProduct.Depth, TShape.Stages * (rows + TSums.Columns) * WarpGroupProduct.Depth * 2);
    }
}

/// <summary>
/// How a product is laid out on tensor cores: which tile, and into how many parts k is cut. The cost is a model of a large GPU, the same
/// on every device, so that a product's bits depend on its shape alone.
/// </summary>
internal readonly record struct TensorPlan(TensorTile Tile, int Parts, int PartDepth)
{
    /// <summary>Most floats that the sums of all parts take: 16 MB.</summary>
    public const int MostPartialSums = 4 << 20;

    public static readonly TensorTile Large = new(128, 128, 256, 2, 1.0), Tall = new(128, 64, 128, 4, 0.8), Small = new(64, 64, 64, 6, 0.6);

    /// <summary>Of warp groups.</summary>
    public static readonly TensorTile
        Tallest = TensorTile.Of<TallGroups, GroupSums128>(1, 1.4), Square = TensorTile.Of<PairedGroups, GroupSums128>(2, 1.3),
        Narrow = TensorTile.Of<PairedGroups, GroupSums64>(2, 1.0), Smallest = TensorTile.Of<SingleGroup, GroupSums64>(2, 0.8);

    private static readonly TensorTile[] OfWarps = [Large, Tall, Small], OfWarpGroups = [Tallest, Square, Narrow, Smallest];

    /// <summary>
    /// The model, in cycles. A multiprocessor multiplies 1,024 pairs a cycle; a step of k takes at least as long as its barrier and loads;
    /// a launch and a tile's start and end have their price, and parts' sums are written and read. To be tuned on hardware.
    /// </summary>
    private const double Multiprocessors = 132, Rate = 1024, StepLatency = 300, TileStart = 2500, Launch = 4000, PartialBytesPerCycle = 1500;

    private const int MostParts = 128, LeastPartDepth = 128;

    /// <summary>The phases of a strided gradient are so many products, each taken for as large as the largest.</summary>
    public static TensorPlan Of(MatrixProduct product, bool warpGroups)
    {
        if (product.A is not GradientPatchesOperand { IsStrided: true }) return Choose(product.M, product.N, product.K, product.Count, warpGroups);
        var phases = GradientPhases.Of(product);
        return Choose(phases.MostRows, product.N, phases.MostDepth, checked(product.Count * phases.Count), warpGroups);
    }

    /// <summary>The cheapest layout of a product, or of several at once.</summary>
    public static TensorPlan Choose(int m, int n, int k, int count = 1, bool warpGroups = false) => Candidates(m, n, k, count, warpGroups).MinBy(plan => plan.Cycles(m, n, count));

    /// <summary>Every layout that is possible.</summary>
    public static IEnumerable<TensorPlan> Candidates(int m, int n, int k, int count, bool warpGroups)
    {
        foreach (var tile in warpGroups ? OfWarpGroups : OfWarps)
        {
            for (int parts = 1; parts <= MostParts; parts *= 2)
            {
                if (parts > 1 && (k < parts * LeastPartDepth || (long)count * parts * m * n > MostPartialSums)) break;
                int partDepth = ((k + parts - 1) / parts + tile.Depth - 1) / tile.Depth * tile.Depth;
                yield return new TensorPlan(tile, (k + partDepth - 1) / partDepth, partDepth);
            }
        }
    }

    /// <summary>What the model expects of this layout.</summary>
    public double Cycles(int m, int n, int count)
    {
        double groups = (double)count * Tiles(m, Tile.Rows) * Tiles(n, Tile.Columns) * Parts, here = Math.Ceiling(groups / Multiprocessors), steps = PartDepth / Tile.Depth;
        double arithmetic = here * steps * Tile.Rows * Tile.Columns * Tile.Depth / (Rate * Tile.Efficiency);
        double waves = Math.Ceiling(here / Tile.Resident), waiting = waves * steps * StepLatency;
        double adding = Parts == 1 ? 0 : Launch + 8.0 * count * Parts * m * n / PartialBytesPerCycle;
        return Math.Max(arithmetic, waiting) + waves * TileStart + adding;
    }

    private static int Tiles(int length, int tile) => (length + tile - 1) / tile;
}
