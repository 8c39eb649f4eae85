using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>What a product sums of the columns of C as it stores a tile: a type parameter, so that nothing is left of it where nothing is summed.</summary>
internal interface ITileSums<TSelf> where TSelf : struct, ITileSums<TSelf>
{
    static abstract bool Wanted { get; }

    /// <summary>Rows of C that count, from the first.</summary>
    static abstract int Rows(TSelf sums);

    /// <inheritdoc cref="IGpuStoredSums{TArguments}.Origin"/>
    static abstract TVector Origin<TVector>(TVector firstRow) where TVector : unmanaged, IGpuVector<TVector>;

    /// <inheritdoc cref="IGpuStoredSums{TArguments}.Of"/>
    static abstract TwoSums<TVector> Of<TVector>(TVector row, TVector origin) where TVector : unmanaged, IGpuVector<TVector>;

    /// <summary>Called once for each column and each tile of rows in which some count.</summary>
    static abstract void Store(TSelf sums, int part, int column, int rows, Vector1 origin, TwoSums<Vector1> total);
}

/// <summary>Nobody sums the columns.</summary>
internal readonly struct NoSums : ITileSums<NoSums>
{
    public static bool Wanted => false;
    public static int Rows(NoSums sums) => 0;
    public static TVector Origin<TVector>(TVector firstRow) where TVector : unmanaged, IGpuVector<TVector> => firstRow;
    public static TwoSums<TVector> Of<TVector>(TVector row, TVector origin) where TVector : unmanaged, IGpuVector<TVector> => new(row, origin);
    public static void Store(NoSums sums, int part, int column, int rows, Vector1 origin, TwoSums<Vector1> total) { }
}

/// <summary>The first half of a <see cref="ColumnReader"/>, with a tile's rows for a part.</summary>
internal readonly struct ColumnSums<TSums, TArguments>(TArguments arguments) : ITileSums<ColumnSums<TSums, TArguments>>
    where TSums : struct, IGpuStoredSums<TArguments> where TArguments : struct
{
    private readonly TArguments _arguments = arguments;

    public static bool Wanted => true;
    public static int Rows(ColumnSums<TSums, TArguments> sums) => TSums.Rows(sums._arguments);
    public static TVector Origin<TVector>(TVector firstRow) where TVector : unmanaged, IGpuVector<TVector> => TSums.Origin(firstRow);
    public static TwoSums<TVector> Of<TVector>(TVector row, TVector origin) where TVector : unmanaged, IGpuVector<TVector> => TSums.Of(row, origin);

    public static void Store(ColumnSums<TSums, TArguments> sums, int part, int column, int rows, Vector1 origin, TwoSums<Vector1> total) =>
        TSums.Store(sums._arguments, part, column, rows, origin, total);
}

/// <summary>What a thread has summed of its eight columns, and the rows of the tile that count.</summary>
internal readonly struct RunningSums(int rows, Vector8 origin, Vector8 first, Vector8 second)
{
    public readonly int Rows = rows;
    public readonly Vector8 Origin = origin, First = first, Second = second;
}

/// <summary>
/// Sums of a tile's columns. A thread has eight columns and every so many rows of them: the lines. Lines are added in their order, by a thread
/// for each column, through shared memory behind the tile: 2 x lines x columns floats, at most 16 KB behind 32.
/// </summary>
internal static class TileSums
{
    public static RunningSums Begin<T, TStorage, TElement, TSums>(ArrayView<T> halves, ProductTarget<T, TElement> target, TSums sums, int firstRow, int m, int rows, int chunk, int column, int n, int columns)
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement where TSums : struct, ITileSums<TSums>
    {
        var zero = Vector8.All(0f);
        if (!TSums.Wanted || column >= n) return new(0, zero, zero, zero);
        var firstValues = target.Element.Apply(TStorage.Load8(halves, TensorStore.Place(0, chunk << 3, columns) << 3), target.Start + firstRow * target.Pitch + column);
        return new(Math.Min(Math.Min(TSums.Rows(sums), m) - firstRow, rows), TSums.Origin(firstValues), zero, zero);
    }

    public static RunningSums Add<TSums>(RunningSums total, Vector8 values, int row) where TSums : struct, ITileSums<TSums>
    {
        if (!TSums.Wanted || row >= total.Rows) return total;
        var more = TSums.Of(values, total.Origin);
        return new(total.Rows, total.Origin, total.First + more.First, total.Second + more.Second);
    }

    /// <summary>Adds the lines, and stores what they give. All threads of a group come here, after all have written the tile.</summary>
    public static void End<T, TStorage, TElement, TSums>(
        RunningSums total, ArrayView<Words4> shared, ProductTarget<T, TElement> target, TSums sums, int firstRow, int m, int rows, int firstColumn, int n, int columns, int thread, int threads)
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement where TSums : struct, ITileSums<TSums>
    {
        if (!TSums.Wanted) return;
        int chunks = columns >> 3, shift = columns == 128 ? 4 : 3, lines = threads >> shift, second = lines * columns;
        var lineSums = shared.SubView(rows * chunks, lines * columns >> 1).Cast<float>();
        // thread * 8 = line * columns + the thread's first column
        Vector8.Store<float, SingleStorage>(lineSums, thread << 3, total.First);
        Vector8.Store<float, SingleStorage>(lineSums, second + (thread << 3), total.Second);
        Group.Barrier();
        int counted = Math.Min(Math.Min(TSums.Rows(sums), m) - firstRow, rows), column = firstColumn + thread;
        if (thread >= columns || column >= n || counted <= 0) return;
        float first = 0f, more = 0f;
        for (int line = 0; line < lines; line++)
        {
            first += lineSums[line * columns + thread];
            more += lineSums[second + line * columns + thread];
        }
        var halves = shared.Cast<T>();
        var firstValue = target.Element.Apply(new Vector1(TStorage.Load(halves[(TensorStore.Place(0, thread, columns) << 3) + (thread & 7)])), target.Start + firstRow * target.Pitch + column);
        TSums.Store(sums, firstRow / rows, column, counted, TSums.Origin(firstValue), new TwoSums<Vector1>(new(first), new(more)));
    }
}
