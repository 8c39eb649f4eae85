using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Takes neighbouring sums of a row.</summary>
internal interface ISumStore<TSelf> where TSelf : struct, ISumStore<TSelf>
{
    /// <param name="row">Of the first sum.</param>
    /// <param name="column">Of the first sum; even.</param>
    static abstract void Pair(TSelf store, int row, int column, float first, float second);
}

/// <summary>The sums of a part of k, to be added by <see cref="PartTotal"/>.</summary>
internal readonly struct PartStore(ArrayView<float> partialSums, int partRow, int m, int n) : ISumStore<PartStore>
{
    private readonly ArrayView<float> _partialSums = partialSums;
    private readonly int _partRow = partRow, _m = m, _n = n;

    public static void Pair(PartStore store, int row, int column, float first, float second)
    {
        if (row >= store._m || column >= store._n) return;
        int place = (store._partRow + row) * store._n + column;
        if ((store._n & 1) == 0)
        {
            store._partialSums.Cast<SumPair>()[place >> 1] = new(first, second);
            return;
        }
        store._partialSums[place] = first;
        if (column + 1 < store._n) store._partialSums[place + 1] = second;
    }
}

/// <summary>Two floats that memory takes at once: four lanes fill 32 bytes of it.</summary>
internal readonly record struct SumPair(float First, float Second);

/// <summary>Rounds to halves and puts them to shared memory, from where whole chunks go on.</summary>
internal readonly struct SharedStore(ArrayView<uint> pairs, int columns) : ISumStore<SharedStore>
{
    private readonly ArrayView<uint> _pairs = pairs;
    private readonly int _columns = columns;

    public static void Pair(SharedStore store, int row, int column, float first, float second) =>
        store._pairs[(TensorStore.Place(row, column, store._columns) << 2) + ((column >> 1) & 3)] = TensorCore.PackHalves(first, second);
}

/// <summary>Adds the bias before. A store of its own, because a condition in the other one costs its 16 to 64 pairs ten instructions each.</summary>
internal readonly struct BiasedStore<T, TStorage>(SharedStore store, ArrayView<T> bias, int biasStart, int n, int firstColumn) : ISumStore<BiasedStore<T, TStorage>>
    where T : unmanaged where TStorage : struct, IStorage<T>
{
    private readonly SharedStore _store = store;
    private readonly ArrayView<T> _bias = bias;
    private readonly int _biasStart = biasStart, _n = n, _firstColumn = firstColumn;

    // A bound is cheaper than a branch; what lies beyond the end is not stored.
    public static void Pair(BiasedStore<T, TStorage> store, int row, int column, float first, float second) => SharedStore.Pair(store._store, row, column,
        first + TStorage.Load(store._bias[store._biasStart + Math.Min(store._firstColumn + column, store._n - 1)]),
        second + TStorage.Load(store._bias[store._biasStart + Math.Min(store._firstColumn + column + 1, store._n - 1)]));
}

/// <summary>The way of a tile's sums from registers to C: lanes hold scattered pairs, which go through shared memory and leave in rows of 16 bytes.</summary>
internal static class TensorStore
{
    /// <summary>Where the chunk of a column lies; chunks change places within a row so that the lanes of a warp write to different banks.</summary>
    public static int Place(int row, int column, int columns) => row * (columns >> 3) + ((column >> 3) ^ (row & 7));

    /// <summary>Hands all of a lane's pairs over.</summary>
    /// <param name="row">Of the lane's first pair.</param>
    /// <param name="column">Of the lane's first pair.</param>
    public static void Each<TStore>(WarpTile sums, TStore store, int row, int column) where TStore : struct, ISumStore<TStore>
    {
        Row(sums.M0, store, row, column);
        Row(sums.M1, store, row + 16, column);
        Row(sums.M2, store, row + 32, column);
        Row(sums.M3, store, row + 48, column);
    }

    public static void Row<TStore>(SumRow sums, TStore store, int row, int column) where TStore : struct, ISumStore<TStore>
    {
        Fragment(sums.N0, store, row, column);
        Fragment(sums.N1, store, row, column + 8);
        Fragment(sums.N2, store, row, column + 16);
        Fragment(sums.N3, store, row, column + 24);
    }

    private static void Fragment<TStore>(Sums sums, TStore store, int row, int column) where TStore : struct, ISumStore<TStore>
    {
        TStore.Pair(store, row, column, sums.C0, sums.C1);
        TStore.Pair(store, row + 8, column, sums.C2, sums.C3);
    }

    /// <summary>Stores the halves in shared memory, after what follows the product is done to them: it commutes with the rounding.</summary>
    public static void Tile<T, TStorage, TElement, TSums, TRows>(
        ArrayView<Words4> shared, ProductTarget<T, TElement> target, TSums sums, TRows targetRows, int wholeChunks, int firstRow, int m, int rows, int firstColumn, int n, int columns, int thread, int threads)
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement where TSums : struct, ITileSums<TSums> where TRows : struct, IProductRows<TRows>
    {
        var halves = shared.Cast<T>();
        int shift = columns == 128 ? 4 : 3, chunk = thread & ((1 << shift) - 1), column = firstColumn + (chunk << 3);
        var total = TileSums.Begin<T, TStorage, TElement, TSums>(halves, target, sums, firstRow, m, rows, chunk, column, n, columns);
        for (int row = thread >> shift; row < rows; row += threads >> shift)
        {
            if (firstRow + row >= m || column >= n) continue;
            int from = Place(row, chunk << 3, columns) << 3, place = target.Start + TRows.Of(targetRows, firstRow + row) * target.Pitch + column;
            if (wholeChunks != 0 && TElement.KeepsValues && !TSums.Wanted)
            {
                target.C.Cast<Words4>()[place >> 3] = shared[from >> 3];
            }
            else if (wholeChunks != 0)
            {
                var values = target.Element.Apply(TStorage.Load8(halves, from), place);
                TStorage.Store8(target.C, place, values);
                total = TileSums.Add<TSums>(total, values, row);
            }
            else
            {
                int count = Math.Min(n - column, 8);
                for (int i = 0; i < count; i++) target.C[place + i] = TStorage.Store(target.Element.Apply(TStorage.Load(halves[from + i]), place + i));
            }
        }
        TileSums.End<T, TStorage, TElement, TSums>(total, shared, target, sums, firstRow, m, rows, firstColumn, n, columns, thread, threads);
    }
}
