using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Two sums of the same columns.</summary>
internal readonly struct TwoSums<TVector>(TVector first, TVector second) where TVector : unmanaged, IGpuVector<TVector>
{
    public readonly TVector First = first, Second = second;
}

/// <summary>
/// What <see cref="IlgpuBackend.SumColumns"/> computes: two sums over the rows of a part, for each column. An empty struct, so
/// that the kernel is compiled for it. Methods are generic over one column and eight of them.
/// </summary>
internal interface IGpuColumnSums<TArguments> where TArguments : struct
{
    /// <summary>Whether a row's sums come from one tensor: then a thread reads eight rows at once, else four, because what is under way hides the memory's latency.</summary>
    static abstract bool ReadsOne { get; }

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

internal sealed unsafe partial class IlgpuBackend
{
    /// <summary>
    /// An action that sums columns of a matrix over the rows of each part, with groups of 64 threads: neighbours read
    /// neighbouring columns, eight at a time where the columns are a multiple of eight; what is left of the 64 shares the rows,
    /// line l taking rows l, l + lines ..., four or eight of them at once, and a tree adds the lines. The order depends on the shape alone.
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
        int columns = reader.From.Dimensions[^1];
        var parts = RowParts.Of(rows, columns);
        return (parts, SumColumns<TSums, TArguments>(parts, columns, arguments));
    }

    private Action SumColumnVectors<TSums, TVector, TArguments>(RowParts parts, int columns, TArguments arguments)
        where TSums : struct, IGpuColumnSums<TArguments>
        where TVector : unmanaged, IGpuVector<TVector>
        where TArguments : struct
    {
        int vectors = columns / TVector.Width, shift = RowParts.AcrossShift(vectors), across = 1 << shift;
        return ForGroups(new Index3D(parts.Count, (vectors + across - 1) / across, 1), new Index3D(ReductionThreads, 1, 1),
            SumPart<TSums, TVector, TArguments>, new ColumnArguments<TArguments>(arguments, columns, parts.RowsPerPart, across, shift));
    }

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
            // Written out, because ILGPU unrolls no loops: none of the loads waits for another.
            int row = start + line;
            if (TSums.ReadsOne)
            {
                for (; row + 7 * lines < end; row += 8 * lines)
                {
                    TwoSums<TVector> a0 = TSums.Load(c.Arguments, row, column, origin), a1 = TSums.Load(c.Arguments, row + lines, column, origin);
                    TwoSums<TVector> a2 = TSums.Load(c.Arguments, row + 2 * lines, column, origin), a3 = TSums.Load(c.Arguments, row + 3 * lines, column, origin);
                    TwoSums<TVector> a4 = TSums.Load(c.Arguments, row + 4 * lines, column, origin), a5 = TSums.Load(c.Arguments, row + 5 * lines, column, origin);
                    TwoSums<TVector> a6 = TSums.Load(c.Arguments, row + 6 * lines, column, origin), a7 = TSums.Load(c.Arguments, row + 7 * lines, column, origin);
                    first += ((a0.First + a1.First) + (a2.First + a3.First)) + ((a4.First + a5.First) + (a6.First + a7.First));
                    second += ((a0.Second + a1.Second) + (a2.Second + a3.Second)) + ((a4.Second + a5.Second) + (a6.Second + a7.Second));
                }
            }
            for (; row + 3 * lines < end; row += 4 * lines)
            {
                TwoSums<TVector> a0 = TSums.Load(c.Arguments, row, column, origin), a1 = TSums.Load(c.Arguments, row + lines, column, origin);
                TwoSums<TVector> a2 = TSums.Load(c.Arguments, row + 2 * lines, column, origin), a3 = TSums.Load(c.Arguments, row + 3 * lines, column, origin);
                first += (a0.First + a1.First) + (a2.First + a3.First);
                second += (a0.Second + a1.Second) + (a2.Second + a3.Second);
            }
            for (; row < end; row += lines)
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
                TwoSums<TVector> mine = totals[thread], more = totals[thread + stride];
                totals[thread] = new(mine.First + more.First, mine.Second + more.Second);
            }
            Group.Barrier();
        }
        if (line == 0 && column < c.Columns && start < end) TSums.Store(c.Arguments, Grid.IdxX, column, end - start, origin, totals[thread]);
    }
}
