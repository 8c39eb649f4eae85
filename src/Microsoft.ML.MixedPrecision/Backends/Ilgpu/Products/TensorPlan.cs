namespace Microsoft.ML.MixedPrecision;

/// <summary>A tile of <see cref="TensorProduct"/> or of <see cref="WarpGroupProduct"/>.</summary>
/// <param name="Rows">Of C.</param>
/// <param name="Columns">Of C.</param>
/// <param name="Threads">Of a group.</param>
/// <param name="Resident">Groups that share a multiprocessor: by registers, or by shared memory on sm_80.</param>
/// <param name="Cost">What is known of its time.</param>
/// <param name="Depth">Values of k in a step.</param>
/// <param name="SharedBytes">What a launch must ask for: the ring of a <see cref="WarpGroupProduct"/>.</param>
internal readonly record struct TensorTile(int Rows, int Columns, int Threads, int Resident, TileCost Cost, int Depth = TensorProduct.Depth, int SharedBytes = 0)
{
    /// <summary>Whether warp groups make it.</summary>
    public bool OfWarpGroups => SharedBytes > 0;

    /// <summary>
    /// Groups that the assembler is told must share a multiprocessor's registers; 0 where it needs no telling. With one register more than 128 for a thread, the largest tile's groups
    /// would run alone; left alone, the assembler gives a thread of the middle one 160 for some operands.
    /// </summary>
    public int LimitedTo => this == TensorPlan.Small ? 0 : Resident;

    public static TensorTile Of<TShape, TSums>(int resident, TileCost cost) where TShape : struct, IGroupShape where TSums : struct, IGroupSums<TSums>
    {
        int rows = TShape.WarpGroups * TShape.Blocks * 64;
        return new(rows, TSums.Columns, TShape.WarpGroups * 128, resident, cost, WarpGroupProduct.Depth, TShape.Stages * (rows + TSums.Columns) * WarpGroupProduct.Depth * 2);
    }
}

/// <summary>What a tile costs, in cycles of a multiprocessor.</summary>
/// <param name="Rate">Pairs multiplied in a cycle where groups fill the multiprocessor: smaller tiles load more for each.</param>
/// <param name="Work">Of a group besides its multiplications, in which no other group can go on: its instructions at the start and the end.</param>
/// <param name="StepLatency">The least time of a step of k: its barrier, its loads.</param>
/// <param name="Start">The least time of a group without its steps.</param>
internal readonly record struct TileCost(double Rate, double Work, double StepLatency, double Start);

/// <summary>
/// How a product is laid out on tensor cores: which tile, and into how many parts k is cut. The cost is a model of a large GPU, the same
/// on every device, so that a product's bits depend on its shape alone.
/// </summary>
internal readonly record struct TensorPlan(TensorTile Tile, int Parts, int PartDepth)
{
    /// <summary>Most floats that the sums of all parts take: 32 MB.</summary>
    public const int MostPartialSums = 8 << 20;

    /// <summary>Of warps. The largest one's rate is what 8,192 cubed reached on an H200; the rest are estimates after warp groups' tiles of the same size.</summary>
    public static readonly TensorTile
        Large = new(128, 128, 256, 2, new(650, 4150, 700, 6900)), Tall = new(128, 64, 128, 4, new(520, 2380, 520, 6300)), Small = new(64, 64, 64, 6, new(390, 1950, 320, 4900));

    /// <summary>
    /// Of warp groups. Fitted to 413 measurements of ResNet-50's products on an H200 (<c>bench tune</c>), which they meet within 10 % (root mean square); with them the model's choices took
    /// 1.02 times the time of the fastest.
    /// </summary>
    public static readonly TensorTile
        Tallest = TensorTile.Of<TallGroups, GroupSums128>(1, new(960, 6530, 2120, 11090)), Square = TensorTile.Of<PairedGroups, GroupSums128>(2, new(940, 4150, 1320, 6920)),
        Narrow = TensorTile.Of<PairedGroups, GroupSums64>(2, new(610, 2380, 1040, 6280)), Smallest = TensorTile.Of<SingleGroup, GroupSums64>(2, new(540, 1950, 640, 4920));

    private static readonly TensorTile[] OfWarps = [Large, Tall, Small], OfWarpGroups = [Tallest, Square, Narrow, Smallest];

    /// <summary>The device; the second launch that adds parts, at the 2 us that the shortest kernel of a captured step takes; and an estimate of what an operand costs that comes element by element: the latency of a step, and cycles for each row or column of its tile.</summary>
    private const double Multiprocessors = 132, Launch = 3500, PartialBytesPerCycle = 2100, ElementsLatency = 3500, ElementsWork = 5;

    private const int MostParts = 512, LeastPartDepth = 64;

    /// <summary>The cheapest layout. The phases of a strided gradient are so many products, each taken for as large as the largest.</summary>
    /// <param name="warpGroups">Whether warp groups make it.</param>
    /// <param name="byElements">Operands that come element by element.</param>
    public static TensorPlan Of(MatrixProduct product, bool warpGroups, int byElements)
    {
        if (product.A is not GradientPatchesOperand { IsStrided: true }) return Choose(product.M, product.N, product.K, product.Count, warpGroups, byElements);
        var phases = GradientPhases.Of(product);
        return Choose(phases.MostRows, product.N, phases.MostDepth, checked(product.Count * phases.Count), warpGroups, byElements);
    }

    /// <summary>The cheapest layout of a product, or of several at once.</summary>
    public static TensorPlan Choose(int m, int n, int k, int count = 1, bool warpGroups = false, int byElements = 0) =>
        Candidates(m, n, k, count, warpGroups).MinBy(plan => plan.Cycles(m, n, count, byElements));

    /// <summary>Every layout that is possible; not every number of parts, but neighbours differ by at most a quarter.</summary>
    public static IEnumerable<TensorPlan> Candidates(int m, int n, int k, int count, bool warpGroups)
    {
        foreach (var tile in warpGroups ? OfWarpGroups : OfWarps)
        {
            for (int parts = 1; parts <= MostParts; parts += Math.Max(parts / 4, 1))
            {
                if (parts > 1 && (k < parts * LeastPartDepth || (long)count * parts * m * n > MostPartialSums)) break;
                int partDepth = ((k + parts - 1) / parts + tile.Depth - 1) / tile.Depth * tile.Depth;
                yield return new TensorPlan(tile, (k + partDepth - 1) / partDepth, partDepth);
            }
        }
    }

    /// <summary>What the model expects of this layout.</summary>
    public double Cycles(int m, int n, int count, int byElements)
    {
        var (rate, work, latency, start) = Tile.Cost;
        double here = Math.Ceiling((double)count * Tiles(m, Tile.Rows) * Tiles(n, Tile.Columns) * Parts / Multiprocessors), steps = PartDepth / Tile.Depth;
        double busy = here * (work + steps * (Tile.Rows * Tile.Columns * Tile.Depth / rate + byElements * ElementsWork * (Tile.Rows + Tile.Columns)));
        double waiting = Math.Ceiling(here / Tile.Resident) * (start + steps * (latency + byElements * ElementsLatency));
        double adding = Parts == 1 ? 0 : Launch + 8.0 * count * Parts * m * n / PartialBytesPerCycle;
        return Math.Max(busy, waiting) + adding;
    }

    private static int Tiles(int length, int tile) => (length + tile - 1) / tile;
}
