using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Two sums of the same columns.</summary>
internal readonly record struct TwoSums<TVector>(TVector First, TVector Second) where TVector : unmanaged, IGpuVector<TVector>;

/// <summary>
/// What <see cref="IlgpuBackend.SumColumns"/> computes: two sums over the rows of a part, for each column. An empty struct, so
/// that the kernel is compiled for it. Methods are generic over one column and eight of them.
/// </summary>
internal interface IGpuColumnSums<TArguments> where TArguments : struct
{
    /// <summary>Rows that count, from the first; may be fewer than there are.</summary>
    static abstract int Rows(TArguments a);

    /// <summary>What is subtracted before summing, such as a mean; read once for a part.</summary>
    static abstract TVector Origin<TVector>(TArguments a, int firstRow, int column) where TVector : unmanaged, IGpuVector<TVector>;

    /// <summary>What a row adds.</summary>
    static abstract TwoSums<TVector> Load<TVector>(TArguments a, int row, int column, TVector origin) where TVector : unmanaged, IGpuVector<TVector>;

    /// <summary>Called once for each part that has rows, and each column.</summary>
    static abstract void Store<TVector>(TArguments a, int part, int column, int rows, TVector origin, TwoSums<TVector> total) where TVector : unmanaged, IGpuVector<TVector>;
}

/// <summary>Column sums of one stored matrix: its rows can be summed from memory, or by the kernel that stores them.</summary>
internal interface IGpuStoredSums<TArguments> : IGpuColumnSums<TArguments> where TArguments : struct
{
    /// <summary>What is subtracted before summing, given the part's first row.</summary>
    static abstract TVector Origin<TVector>(TVector firstRow) where TVector : unmanaged, IGpuVector<TVector>;

    /// <summary>What a row adds, given as it is stored.</summary>
    static abstract TwoSums<TVector> Of<TVector>(TVector row, TVector origin) where TVector : unmanaged, IGpuVector<TVector>;
}

/// <summary>The parts into which rows are cut before they are summed. Fixed by the shape, and so is the order of a sum.</summary>
internal readonly record struct RowParts(int Rows, int RowsPerPart)
{
    private const int Shortest = ChannelParts.RowsPerPart, Most = 2048;

    /// <summary>Parts of 256 rows, or of so many times 256 that there are at most 2,048, enough to fill a GPU.</summary>
    public RowParts(int rows) : this(rows, Math.Max((rows + Shortest * Most - 1) / (Shortest * Most), 1) * Shortest)
    {
    }

    public int Count => (Rows + RowsPerPart - 1) / RowsPerPart;
}

internal sealed unsafe partial class IlgpuBackend
{
    /// <summary>Up to so many parts a single thread joins in order; a group of 64 would mostly wait for itself.</summary>
    private const int FewItems = 16;

    /// <summary>
    /// An action that sums columns of a matrix over the rows of each part, with groups of 64 threads: neighbours read
    /// neighbouring columns, eight at a time where the columns are a multiple of eight; what is left of the 64 shares the rows,
    /// line l taking rows l, l + lines ..., and a tree adds the lines. The order depends on the shape alone.
    /// </summary>
    /// <param name="parts">Of the rows.</param>
    /// <param name="columns">Of the matrix.</param>
    /// <param name="arguments">What is summed.</param>
    /// <param name="together">Columns that are neighbours in memory, where that is a part of them; it divides <paramref name="columns"/>.</param>
    public Action SumColumns<TSums, TArguments>(RowParts parts, int columns, TArguments arguments, int? together = null)
        where TSums : struct, IGpuColumnSums<TArguments>
        where TArguments : struct =>
        ((together ?? columns) & 7) == 0 ? SumColumnVectors<TSums, Vector8, TArguments>(parts, columns, arguments) : SumColumnVectors<TSums, Vector1, TArguments>(parts, columns, arguments);

    /// <summary>The parts into which a reader's rows are cut, and an action that sums them: none is needed where the product that stores the rows has.</summary>
    public (RowParts Parts, Action Sum) SumParts<TSums, TArguments>(ColumnReader reader, TArguments arguments)
        where TSums : struct, IGpuColumnSums<TArguments>
        where TArguments : struct
    {
        int rows = ChannelParts.Rows(reader.From);
        if (reader.Producer is { } product && _tensorCores && TensorBinder.RowsSummed(product, TensorBinder.PlanOf(this, product)) is int summed and > 0) return (new(rows, summed), static () => { });
        var parts = new RowParts(rows);
        return (parts, SumColumns<TSums, TArguments>(parts, reader.From.Dimensions[^1], arguments));
    }

    private Action SumColumnVectors<TSums, TVector, TArguments>(RowParts parts, int columns, TArguments arguments)
        where TSums : struct, IGpuColumnSums<TArguments>
        where TVector : unmanaged, IGpuVector<TVector>
        where TArguments : struct
    {
        int vectors = columns / TVector.Width, across = 1, shift = 0;
        for (; across < vectors && across < ReductionThreads; across <<= 1) shift++;
        return ForGroups(new Index3D(parts.Count, (vectors + across - 1) / across, 1), new Index3D(ReductionThreads, 1, 1),
            SumPart<TSums, TVector, TArguments>, new ColumnArguments<TArguments>(arguments, columns, parts.RowsPerPart, across, shift));
    }

    /// <summary>An action like <see cref="Reduce"/>, for segments of one length: a thread for each where they are short.</summary>
    public Action ReduceParts<TReduction, TValue, TArguments>(int segments, int items, TArguments arguments)
        where TReduction : struct, IGpuReduction<TValue, TArguments>
        where TValue : unmanaged
        where TArguments : struct => items <= FewItems
            ? For(segments, ReduceInOrder<TReduction, TValue, TArguments>, arguments)
            : Reduce<TReduction, TValue, TArguments>(segments, arguments);

    internal readonly record struct ColumnArguments<TArguments>(TArguments Arguments, int Columns, int RowsPerPart, int Across, int AcrossShift) where TArguments : struct;

    private static void SumPart<TSums, TVector, TArguments>(ColumnArguments<TArguments> c)
        where TSums : struct, IGpuColumnSums<TArguments>
        where TVector : unmanaged, IGpuVector<TVector>
        where TArguments : struct
    {
        var totals = SharedMemory.Allocate<TwoSums<TVector>>(ReductionThreads);
        int thread = Group.IdxX, line = thread >> c.AcrossShift, lines = ReductionThreads >> c.AcrossShift;
        int column = (Grid.IdxY * c.Across + (thread & (c.Across - 1))) * TVector.Width;
        int start = Grid.IdxX * c.RowsPerPart, end = Math.Min(start + c.RowsPerPart, TSums.Rows(c.Arguments));
        TVector origin = TVector.All(0f), first = TVector.All(0f), second = TVector.All(0f);
        if (column < c.Columns && start < end)
        {
            origin = TSums.Origin<TVector>(c.Arguments, start, column);
            for (int row = start + line; row < end; row += lines)
            {
                var more = TSums.Load(c.Arguments, row, column, origin);
                first += more.First;
                second += more.Second;
            }
        }
        totals[thread] = new(first, second);
        Group.Barrier();
        for (int stride = ReductionThreads >> 1; stride >= c.Across; stride >>= 1)
        {
            if (thread < stride)
            {
                var (mine, more) = (totals[thread], totals[thread + stride]);
                totals[thread] = new(mine.First + more.First, mine.Second + more.Second);
            }
            Group.Barrier();
        }
        if (line == 0 && column < c.Columns && start < end) TSums.Store(c.Arguments, Grid.IdxX, column, end - start, origin, totals[thread]);
    }

    private static void ReduceInOrder<TReduction, TValue, TArguments>(Index1D segment, TArguments a)
        where TReduction : struct, IGpuReduction<TValue, TArguments>
        where TValue : unmanaged
        where TArguments : struct
    {
        int items = TReduction.Items(a, segment);
        TValue total = TReduction.Nothing;
        for (int item = 0; item < items; item++) total = TReduction.Combine(total, TReduction.Load(a, segment, item));
        TReduction.Store(a, segment, total);
    }
}
