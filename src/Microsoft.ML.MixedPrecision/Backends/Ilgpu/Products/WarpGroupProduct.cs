using ILGPU;
using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// <see cref="TensorProduct"/> for Hopper: the same operands, the same ends, multiplied by <see cref="WarpGroup"/>s, which read both operands from shared memory and work while the
/// threads bring the next ones.
/// <para>
/// Steps are 64 values of k deep. A step waits for its copies, publishes them, meets the others at a barrier, starts its multiplications, and only then starts the copies
/// of a later step: into the stage of the last multiplications that are surely over.
/// </para>
/// </summary>
internal static class WarpGroupProduct
{
    /// <summary>Values of k in a stage.</summary>
    public const int Depth = 64;

    public static void Run<T, TStorage, TShape, TGroupSums, TA, TLinesA, TB, TLinesB, TElement, TSums>(TensorProduct.Arguments<T, WholeChunks<TA>, WholeChunks<TB>, TElement, TSums> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TShape : struct, IGroupShape where TGroupSums : struct, IGroupSums<TGroupSums>
        where TA : struct, IGpuOperand where TLinesA : struct, ISwizzledLines
        where TB : struct, IGpuOperand where TLinesB : struct, ISwizzledLines
        where TElement : struct, IGpuElement where TSums : struct, ITileSums<TSums>
        => Tile<T, TStorage, TShape, TGroupSums, TA, TLinesA, TB, TLinesB, TElement, TSums, AllRows>(a, Grid.IdxZ, Grid.IdxX, new AllRows(a.M));

    /// <summary>What a group does.</summary>
    /// <param name="tile">Among those of the product.</param>
    /// <param name="targetRows">Where the product's rows lie in C.</param>
    public static void Tile<T, TStorage, TShape, TGroupSums, TA, TLinesA, TB, TLinesB, TElement, TSums, TRows>(
        TensorProduct.Arguments<T, WholeChunks<TA>, WholeChunks<TB>, TElement, TSums> a, int product, int tile, TRows targetRows)
        where T : unmanaged where TStorage : struct, IStorage<T> where TShape : struct, IGroupShape where TGroupSums : struct, IGroupSums<TGroupSums>
        where TA : struct, IGpuOperand where TLinesA : struct, ISwizzledLines
        where TB : struct, IGpuOperand where TLinesB : struct, ISwizzledLines
        where TElement : struct, IGpuElement where TSums : struct, ITileSums<TSums> where TRows : struct, IProductRows<TRows>
    {
        int blockRows = TShape.Blocks * 64, rows = TShape.WarpGroups * blockRows, columns = TGroupSums.Columns, threads = TShape.WarpGroups * 128;
        int tileA = rows * (Depth / 8), stageSize = tileA + columns * (Depth / 8), ahead = TShape.Stages - 1 - TShape.Pending;
        var shared = SharedMemory.GetDynamic<Words4>();

        var place = TileWalk.At(tile, a.TilesDown, a.TilesAcross, TShape.BandShift);
        int firstRow = place.Down * rows, firstColumn = place.Across * columns;

        int thread = Group.IdxX, lane = thread & 31, group = WarpGroup.Uniform(thread >> 7);
        var copiesA = GroupCopy<TA, TLinesA>.Of(a.TileA, product * a.StepA, firstRow, thread, threads);
        var copiesB = GroupCopy<TB, TLinesB>.Of(a.TileB, product * a.StepB, firstColumn, thread, threads);

        int part = Grid.IdxY, first = part * a.PartDepth, end = Math.Min(a.K, first + a.PartDepth);
        for (int stage = 0; stage < ahead; stage++)
        {
            GroupCopy<TA, TLinesA>.Start(copiesA, a.A, a.TileA, shared, stage * stageSize, a.M - firstRow, first + stage * Depth, end, rows, thread, threads);
            GroupCopy<TB, TLinesB>.Start(copiesB, a.B, a.TileB, shared, stage * stageSize + tileA, a.N - firstColumn, first + stage * Depth, end, columns, thread, threads);
            TensorCore.CommitCopies();
        }

        TGroupSums upper = default, lower = default;
        int reading = 0, writing = ahead * stageSize, last = (TShape.Stages - 1) * stageSize;
        for (int k = first; k < end; k += Depth)
        {
            TensorCore.WaitForCopies(TShape.Stages - 2 - TShape.Pending);
            WarpGroup.Publish();
            Group.Barrier();
            int placeA = reading + group * (blockRows * 8), placeB = reading + tileA;
            WarpGroup.Begin();
            upper = MultiplyAdd<TGroupSums, TLinesA, TLinesB>(upper, shared, placeA, 0, placeB);
            if (TShape.Blocks == 2) lower = MultiplyAdd<TGroupSums, TLinesA, TLinesB>(lower, shared, placeA, 1, placeB);
            WarpGroup.Commit();

            int next = k + ahead * Depth;
            if (next < end)
            {
                GroupCopy<TA, TLinesA>.Start(copiesA, a.A, a.TileA, shared, writing, a.M - firstRow, next, end, rows, thread, threads);
                GroupCopy<TB, TLinesB>.Start(copiesB, a.B, a.TileB, shared, writing + tileA, a.N - firstColumn, next, end, columns, thread, threads);
            }
            TensorCore.CommitCopies(); // also where there is nothing to copy: waiting counts groups
            WarpGroup.Wait(TShape.Pending);
            reading = Utilities.Select(reading == last, 0, reading + stageSize);
            writing = Utilities.Select(writing == last, 0, writing + stageSize);
        }
        WarpGroup.Wait(0);

        TensorCore.WaitForCopies(0); // zeros beyond the end of a short k may be under way
        int row = group * blockRows + ((thread >> 5) & 3) * 16 + (lane >> 2), column = (lane & 3) << 1;
        if (a.Parts > 1)
        {
            var partial = new PartStore(a.PartialSums, TRows.PartRow(targetRows, product, a.Parts, part), a.M, a.N);
            TGroupSums.Each(upper, partial, firstRow + row, firstColumn + column);
            if (TShape.Blocks == 2) TGroupSums.Each(lower, partial, firstRow + row + 64, firstColumn + column);
            return;
        }
        var target = ProductTarget<T, TElement>.At(a.Target, product, a.N);
        var store = new SharedStore(shared.Cast<uint>(), columns);
        Group.Barrier();
        if (target.HasBias != 0)
        {
            var biased = new BiasedStore<T, TStorage>(store, target.Bias, target.BiasStart, a.N, firstColumn);
            TGroupSums.Each(upper, biased, row, column);
            if (TShape.Blocks == 2) TGroupSums.Each(lower, biased, row + 64, column);
        }
        else
        {
            TGroupSums.Each(upper, store, row, column);
            if (TShape.Blocks == 2) TGroupSums.Each(lower, store, row + 64, column);
        }
        Group.Barrier();
        TensorStore.Tile<T, TStorage, TElement, TSums, TRows>(shared, target, a.Sums, targetRows, a.WholeChunks, firstRow, a.M, rows, firstColumn, a.N, columns, thread, threads);
    }

    /// <summary>64 values of k.</summary>
    private static TGroupSums MultiplyAdd<TGroupSums, TLinesA, TLinesB>(TGroupSums sums, ArrayView<Words4> shared, int placeA, int block, int placeB)
        where TGroupSums : struct, IGroupSums<TGroupSums> where TLinesA : struct, ISwizzledLines where TLinesB : struct, ISwizzledLines
    {
        sums = TGroupSums.MultiplyAdd(sums, shared, placeA, block, placeB, 0, TLinesA.AlongDepth, TLinesB.AlongDepth);
        sums = TGroupSums.MultiplyAdd(sums, shared, placeA, block, placeB, 1, TLinesA.AlongDepth, TLinesB.AlongDepth);
        sums = TGroupSums.MultiplyAdd(sums, shared, placeA, block, placeB, 2, TLinesA.AlongDepth, TLinesB.AlongDepth);
        return TGroupSums.MultiplyAdd(sums, shared, placeA, block, placeB, 3, TLinesA.AlongDepth, TLinesB.AlongDepth);
    }
}
