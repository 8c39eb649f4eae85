using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The matrix product on tensor cores: C[m, n] = f(A[m, k] * B[k, n] + bias[n]), halves in, FP32 sums, halves out. For CUDA from sm_75 on.
/// <para>
/// A group of warps makes a tile of C, each warp 64 x 32 of it. Tiles of A and B, 32 values of k deep, go through a ring of three stages in shared
/// memory: while one is multiplied, the next two are under way. One barrier a step: after it this step's tiles are complete, and nobody reads
/// those of the step before any more, whose stage is then filled again.
/// </para>
/// <para>
/// A tile leaves through shared memory, in rows of 16 bytes; columns that a later step sums are summed on the way (<see cref="TileSums"/>).
/// </para>
/// <para>
/// Where C is small and k long, k is cut into parts as in <see cref="PortableProduct"/>. <see cref="TensorPlan"/> chooses tile and parts by the
/// shape alone, so an element is summed in the same order in every run.
/// </para>
/// </summary>
internal static class TensorProduct
{
    /// <summary>Values of k in a stage.</summary>
    public const int Depth = 32;

    /// <summary>Stages of the ring.</summary>
    public const int Stages = 3;

    /// <summary>
    /// What a launch is given. Fields, and everything is passed on by value: where a kernel of this size takes the address of its arguments, as a call of
    /// a property does, ILGPU 1.5.3 may leave them all in local memory.
    /// </summary>
    internal readonly struct Arguments<T, TA, TB, TElement, TSums>(
        ArrayView<T> a, ArrayView<T> b, TA tileA, TB tileB, int stepA, int stepB, int m, int n, int k, int parts, int partDepth, int tilesDown, Divisor tilesAcross,
        ArrayView<float> partialSums, bool wholeChunks, ProductTarget<T, TElement> target, TSums sums)
        where T : unmanaged where TA : struct, IGpuTile<TA> where TB : struct, IGpuTile<TB> where TElement : struct, IGpuElement where TSums : struct
    {
        public readonly ArrayView<T> A = a, B = b;
        public readonly TA TileA = tileA;
        public readonly TB TileB = tileB;
        public readonly int StepA = stepA, StepB = stepB;
        public readonly int M = m, N = n, K = k, Parts = parts, PartDepth = partDepth, TilesDown = tilesDown;
        public readonly Divisor TilesAcross = tilesAcross;
        public readonly ArrayView<float> PartialSums = partialSums;
        public readonly int WholeChunks = wholeChunks ? 1 : 0;
        public readonly ProductTarget<T, TElement> Target = target;
        public readonly TSums Sums = sums;
    }

    public static void Run<T, TStorage, TShape, TA, TLayoutA, TB, TLayoutB, TElement, TSums>(Arguments<T, TA, TB, TElement, TSums> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TShape : struct, ITensorShape
        where TA : struct, IGpuTile<TA> where TLayoutA : struct, ITileLayout
        where TB : struct, IGpuTile<TB> where TLayoutB : struct, ITileLayout
        where TElement : struct, IGpuElement where TSums : struct, ITileSums<TSums>
        => Tile<T, TStorage, TShape, TA, TLayoutA, TB, TLayoutB, TElement, TSums, AllRows>(a, Grid.IdxZ, Grid.IdxX, new AllRows(a.M));

    /// <summary>What a group does.</summary>
    /// <param name="group">Among those of the product.</param>
    /// <param name="targetRows">Where the product's rows lie in C.</param>
    public static void Tile<T, TStorage, TShape, TA, TLayoutA, TB, TLayoutB, TElement, TSums, TRows>(Arguments<T, TA, TB, TElement, TSums> a, int product, int group, TRows targetRows)
        where T : unmanaged where TStorage : struct, IStorage<T> where TShape : struct, ITensorShape
        where TA : struct, IGpuTile<TA> where TLayoutA : struct, ITileLayout
        where TB : struct, IGpuTile<TB> where TLayoutB : struct, ITileLayout
        where TElement : struct, IGpuElement where TSums : struct, ITileSums<TSums> where TRows : struct, IProductRows<TRows>
    {
        int rows = TShape.WarpsDown * WarpTile.Rows, columns = TShape.WarpsAcross * WarpTile.Columns;
        int tileA = rows * (Depth / 8), stageSize = tileA + columns * (Depth / 8);
        var shared = TShape.Shared();

        var place = TileWalk.At(group, a.TilesDown, a.TilesAcross, TShape.BandShift);
        int firstRow = place.Down * rows, firstColumn = place.Across * columns;

        int threads = TShape.WarpsDown * TShape.WarpsAcross * 32, thread = Group.IdxX, lane = thread & 31, warp = thread >> 5;
        int warpRow = (warp >> TShape.AcrossShift) * WarpTile.Rows, warpColumn = (warp & (TShape.WarpsAcross - 1)) * WarpTile.Columns;
        int placeA = TLayoutA.LeftPlace(lane, warpRow, rows), placeB = tileA + TLayoutB.RightPlace(lane, warpColumn, columns);

        var copiesA = TileCopy<TA, TLayoutA>.Of(a.TileA, product * a.StepA, firstRow, rows, thread, threads);
        var copiesB = TileCopy<TB, TLayoutB>.Of(a.TileB, product * a.StepB, firstColumn, columns, thread, threads);

        int part = Grid.IdxY, first = part * a.PartDepth, end = Math.Min(a.K, first + a.PartDepth);
        for (int stage = 0; stage < Stages - 1; stage++)
        {
            TileCopy<TA, TLayoutA>.Start(copiesA, a.A, a.TileA, shared, stage * stageSize, firstRow, a.M, first + stage * Depth, end, rows, thread, threads);
            TileCopy<TB, TLayoutB>.Start(copiesB, a.B, a.TileB, shared, stage * stageSize + tileA, firstColumn, a.N, first + stage * Depth, end, columns, thread, threads);
            TensorCore.CommitCopies();
        }

        var sums = default(WarpTile);
        int reading = 0, writing = (Stages - 1) * stageSize;
        for (int k = first; k < end; k += Depth)
        {
            TensorCore.WaitForCopies(Stages - 2);
            Group.Barrier();
            int next = k + (Stages - 1) * Depth;
            if (next < end)
            {
                TileCopy<TA, TLayoutA>.Start(copiesA, a.A, a.TileA, shared, writing, firstRow, a.M, next, end, rows, thread, threads);
                TileCopy<TB, TLayoutB>.Start(copiesB, a.B, a.TileB, shared, writing + tileA, firstColumn, a.N, next, end, columns, thread, threads);
            }
            TensorCore.CommitCopies(); // also where there is nothing to copy: waiting counts groups
            sums = WarpTile.MultiplyAdd<TLayoutA, TLayoutB>(sums, shared, reading + placeA, reading + placeB);
            sums = WarpTile.MultiplyAdd<TLayoutA, TLayoutB>(sums, shared, reading + TLayoutA.SecondHalf(placeA, rows), reading + tileA + TLayoutB.SecondHalf(placeB - tileA, columns));
            reading = reading == (Stages - 1) * stageSize ? 0 : reading + stageSize;
            writing = writing == (Stages - 1) * stageSize ? 0 : writing + stageSize;
        }

        TensorCore.WaitForCopies(0); // zeros beyond the end of a short k may be under way
        int row = warpRow + (lane >> 2), column = warpColumn + ((lane & 3) << 1);
        if (a.Parts > 1)
        {
            var partial = new PartStore(a.PartialSums, TRows.PartRow(targetRows, product, a.Parts, part), a.M, a.N);
            TensorStore.Each(sums, partial, firstRow + row, firstColumn + column);
            return;
        }
        var target = ProductTarget<T, TElement>.At(a.Target, product, a.N);
        Group.Barrier();
        var store = new SharedStore(shared.Cast<uint>(), columns);
        if (target.HasBias != 0) TensorStore.Each(sums, new BiasedStore<T, TStorage>(store, target.Bias, target.BiasStart, a.N, firstColumn), row, column);
        else TensorStore.Each(sums, store, row, column);
        Group.Barrier();
        TensorStore.Tile<T, TStorage, TElement, TSums, TRows>(shared, target, a.Sums, targetRows, a.WholeChunks, firstRow, a.M, rows, firstColumn, a.N, columns, thread, threads);
    }
}
