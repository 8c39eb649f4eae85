namespace Microsoft.ML.MixedPrecision;

/// <summary>The tile of C that a group of threads makes with <see cref="WarpGroup"/>, and its ring of stages.</summary>
internal interface IGroupShape
{
    /// <summary>Of 128 threads each, one below the other.</summary>
    static abstract int WarpGroups { get; }

    /// <summary>Blocks of 64 rows to a warp group: 1 or 2.</summary>
    static abstract int Blocks { get; }

    static abstract int Stages { get; }

    /// <summary>
    /// Series of multiplications under way while the next one begins: 1 keeps the tensor cores of a group that has the multiprocessor for itself busy, and
    /// costs a stage; groups that share one fill each other's gaps.
    /// </summary>
    static abstract int Pending { get; }

    /// <summary>For <see cref="TileWalk"/>.</summary>
    static abstract int BandShift { get; }
}

/// <summary>256 rows by two warp groups in 4 stages: with 128 columns 192 KB, one group to a multiprocessor.</summary>
internal readonly struct TallGroups : IGroupShape
{
    public static int WarpGroups => 2;
    public static int Blocks => 2;
    public static int Stages => 4;
    public static int Pending => 1;
    public static int BandShift => 3;
}

/// <summary>128 rows by two warp groups in 3 stages: with 128 columns 96 KB, two to a multiprocessor; with 64 columns 72 KB, three.</summary>
internal readonly struct PairedGroups : IGroupShape
{
    public static int WarpGroups => 2;
    public static int Blocks => 1;
    public static int Stages => 3;
    public static int Pending => 0;
    public static int BandShift => 4;
}

/// <summary>64 rows by one warp group in 5 stages: with 64 columns 80 KB, two to a multiprocessor. For products of few tiles, where a step's wait counts.</summary>
internal readonly struct SingleGroup : IGroupShape
{
    public static int WarpGroups => 1;
    public static int Blocks => 1;
    public static int Stages => 5;
    public static int Pending => 1;
    public static int BandShift => 5;
}
