namespace Microsoft.ML.MixedPrecision;

/// <summary>How a <see cref="PortableProduct"/> is laid out: by its shape alone, so that an element is summed in the same order on every device.</summary>
/// <param name="Side">Rows and columns of a tile.</param>
/// <param name="Parts">That k is cut into.</param>
/// <param name="PartDepth">Values of k in a part.</param>
internal readonly record struct PortablePlan(int Side, int Parts, int PartDepth)
{
    /// <summary>Groups that keep a large GPU busy, and the least k that is worth a group of its own.</summary>
    private const int BusyGroups = 512, LeastPart = 256;

    /// <summary>Most floats that the sums of all parts take: 12 MB. Fewer than half of the busy groups' tiles are cut, into as many parts as make it that many groups or just more.</summary>
    public const int MostPartialSums = (BusyGroups + BusyGroups / 2) * 64 * 64;

    public bool IsLarge => Side > SmallTile.Side;

    /// <summary>The phases of a strided gradient are so many products, each taken for as large as the largest.</summary>
    public static PortablePlan Of(MatrixProduct product)
    {
        if (product.A is not GradientPatchesOperand { IsStrided: true }) return Of(product.M, product.N, product.K, product.Count);
        var phases = GradientPhases.Of(product);
        return Of(phases.MostRows, product.N, phases.MostDepth, checked(phases.Count * product.Count));
    }

    /// <summary>Large tiles where C fills them, and they fill half a GPU.</summary>
    public static PortablePlan Of(int m, int n, int k, int count = 1)
    {
        if (Math.Min(m, n) > SmallTile.Side)
        {
            var large = With(LargeTile.Side, m, n, k, count);
            if ((long)count * large.Tiles(m) * large.Tiles(n) * large.Parts >= BusyGroups / 2) return large;
        }
        return With(SmallTile.Side, m, n, k, count);
    }

    public int Tiles(int length) => (length + Side - 1) / Side;

    private static PortablePlan With(int side, int m, int n, int k, int count)
    {
        var whole = new PortablePlan(side, 1, 0);
        int tiles = checked(count * whole.Tiles(m) * whole.Tiles(n)), parts = tiles > BusyGroups / 2 ? 1 : Math.Clamp(k / LeastPart, 1, (BusyGroups + tiles - 1) / tiles), depth = PortableProduct.Elements / side;
        return whole with { Parts = parts, PartDepth = ((k + parts - 1) / parts + depth - 1) / depth * depth };
    }
}
