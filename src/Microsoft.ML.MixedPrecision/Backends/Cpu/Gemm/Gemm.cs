using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// C[m,n] = sink(map(A[m,k] * B[k,n])): halves in, FP32 sums. Readers, map and sink are struct type parameters, so
/// each combination compiles to its own straight code. AggressiveOptimization on every loop: in the first tier a product
/// of 64 cubed takes 28 us instead of 6.6, for the first 6,000 calls.
/// </summary>
internal static unsafe class Gemm
{
    private const int LargestC = 16384, ShortestPart = 1024, MostParts = 16;

    /// <summary>
    /// The parts of k that a small C is summed in, so that it has work for many threads: by shape alone, so that the bits are
    /// the same for any number of them. An element is then the sum of as many chains, added in their order.
    /// </summary>
    public static int Parts(int m, int n, int k) => (long)m * n > LargestC ? 1 : 1 << BitOperations.Log2((uint)Math.Clamp(k / ShortestPart, 1, MostParts));

    /// <summary>Floats of scratch that a product needs.</summary>
    public static long Scratch(int m, int n, int k) => Parts(m, n, k) is > 1 and var parts ? (long)parts * m * Pitch(n) : 0;

    /// <summary>Whether a thread stores all columns of a row, so that something can be done with it then.</summary>
    public static bool StoresRowsWhole(int m, int n, int k, ThreadGrid grid) => grid.Across == 1 && Parts(m, n, k) == 1;

    private static int Pitch(int n) => (n + CpuVector.Width - 1) / CpuVector.Width * CpuVector.Width;

    /// <param name="stored">Nothing, where <see cref="StoresRowsWhole"/> says so.</param>
    /// <param name="grid">Of this product, made once.</param>
    public static void Run<TA, TB, TMap, TSink>(int m, int n, int k, TA a, TB b, TMap map, TSink sink, StoredRows stored, ThreadGrid grid, float* scratch)
        where TA : unmanaged, IReader where TB : unmanaged, IReader
        where TMap : unmanaged, IMap where TSink : unmanaged, ISink
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(k);
        if (m <= 0 || n <= 0) return;
        int parts = Parts(m, n, k);
        if (parts > 1)
        {
            RunInParts(m, n, k, a, b, map, sink, grid, scratch, parts);
            return;
        }
        var job = new Job<TA, TB, TMap, TSink> { M = m, N = n, K = k, A = a, B = b, Map = map, Sink = sink, Stored = stored, Grid = grid };
        if (grid.Threads == 1) Job<TA, TB, TMap, TSink>.Work(&job, 0);
        else WorkerPool.Shared.Run(grid.Threads, &Job<TA, TB, TMap, TSink>.Work, &job);
        for (int border = grid.Rows; border < m; border += grid.Rows) stored.SumAcross(border);
    }

    private static void RunInParts<TA, TB, TMap, TSink>(int m, int n, int k, TA a, TB b, TMap map, TSink sink, ThreadGrid grid, float* scratch, int parts)
        where TA : unmanaged, IReader where TB : unmanaged, IReader
        where TMap : unmanaged, IMap where TSink : unmanaged, ISink
    {
        var job = new PartsJob<TA, TB> { M = m, N = n, K = k, A = a, B = b, Grid = grid, Parts = parts, Sums = scratch };
        WorkerPool.Shared.Run(grid.Threads, &PartsJob<TA, TB>.Work, &job);
        // Part upon part, then to its place: C is small.
        int pitch = Pitch(n);
        long size = (long)m * pitch;
        for (long i = 0; i < size; i += CpuVector.Width)
        {
            var sum = Vector512.Load(scratch + i);
            for (int part = 1; part < parts; part++) sum += Vector512.Load(scratch + part * size + i);
            sum.Store(scratch + i);
        }
        sink.Store(scratch, pitch, 0, 0, m, n, map);
    }

    /// <summary>All of C for each part of k, into scratch.</summary>
    private struct PartsJob<TA, TB>
        where TA : unmanaged, IReader where TB : unmanaged, IReader
    {
        public int M, N, K, Parts;
        public TA A;
        public TB B;
        public ThreadGrid Grid;
        public float* Sums;

        public static void Work(void* job, int thread)
        {
            ref var j = ref *(PartsJob<TA, TB>*)job;
            int depth = (j.K + j.Parts - 1) / j.Parts, pitch = Pitch(j.N);
            for (int part = thread * j.Parts / j.Grid.Threads; part < (thread + 1) * j.Parts / j.Grid.Threads; part++)
            {
                int k0 = part * depth;
                var one = new Job<TA, TB, Plain, ToRows<float, CpuSingleStorage, Unchanged>>
                {
                    M = j.M, N = j.N, K0 = k0, K = Math.Min(depth, j.K - k0), A = j.A, B = j.B, Grid = j.Grid,
                    Sink = new(j.Sums + (long)part * j.M * pitch, 0, pitch, new Unchanged()),
                };
                one.Whole();
            }
        }
    }

    private struct Job<TA, TB, TMap, TSink>
        where TA : unmanaged, IReader where TB : unmanaged, IReader
        where TMap : unmanaged, IMap where TSink : unmanaged, ISink
    {
        public int M, N, K, K0;
        public TA A;
        public TB B;
        public TMap Map;
        public TSink Sink;
        public StoredRows Stored;
        public ThreadGrid Grid;

        public static void Work(void* job, int thread)
        {
            ref var j = ref *(Job<TA, TB, TMap, TSink>*)job;
            var grid = j.Grid;
            int row = thread / grid.Across * grid.Rows, column = thread % grid.Across * grid.Columns;
            j.Block(row, column, Math.Min(grid.Rows, j.M - row), Math.Min(grid.Columns, j.N - column));
        }

        /// <summary>All of C, here.</summary>
        public void Whole() => Block(0, 0, M, N);

        private void Block(int row, int column, int m, int n)
        {
            if (Grid.Tile.Columns == 48) Block<Tile8x3<Lane512>>(row, column, m, n);
            else if (Grid.Tile.Columns == 32) Block<Tile12x2<Lane512>>(row, column, m, n);
            else if (Vector512.IsHardwareAccelerated) Block<Tile16x1<Lane512>>(row, column, m, n);
            else if (Vector256.IsHardwareAccelerated) Block<Tile6x2<Lane256>>(row, column, m, n);
            else Block<Tile6x4<Lane128>>(row, column, m, n);
        }

        private void Block<TTile>(int row, int column, int m, int n) where TTile : struct, ITile
        {
            if (TA.LinesAreRows) Block<TTile, ByRow>(row, column, m, n);
            else Block<TTile, ByStep>(row, column, m, n);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Block<TTile, TLayout>(int row, int column, int m, int n) where TTile : struct, ITile where TLayout : struct, ILayout
        {
            int mr = TTile.Rows, nr = TTile.Columns;
            var block = Blocking.For(m, n, K, mr, nr, TA.LinesAreRows);
            var buffers = GemmBuffers.Mine;
            bool onePart = block.Depth >= K;
            for (int jc = 0; jc < n; jc += block.Columns)
            {
                int nc = Math.Min(block.Columns, n - jc), columnTiles = (nc + nr - 1) / nr;
                if (block.WholeB)
                    for (int pc = 0; pc < K; pc += block.Depth)
                        Packing.OfB(B, K0 + pc, Math.Min(block.Depth, K - pc), column + jc, nc, nr, buffers.B + (long)pc * columnTiles * nr, buffers.Lines);
                for (int ic = 0; ic < m; ic += block.Rows)
                {
                    int mc = Math.Min(block.Rows, m - ic);
                    for (int pc = 0; pc < K; pc += block.Depth)
                    {
                        int kc = Math.Min(block.Depth, K - pc);
                        bool first = pc == 0, last = pc + kc == K;
                        var walk = Walk.Along(kc, TA.LinesAreRows ? 1 : mr, nr);
                        float* b = buffers.B;
                        if (block.WholeB) b += (long)pc * columnTiles * nr;
                        else Packing.OfB(B, K0 + pc, kc, column + jc, nc, nr, b, buffers.Lines);
                        var next = block.WholeB ? default : last ? Ahead(block, column, n, jc + block.Columns, 0) : Ahead(block, column, n, jc, pc + kc);
                        int linesAtOnce = next.Lines / ((mc + mr - 1) / mr * columnTiles) + 1;
                        for (int ib = 0; ib < mc; ib += block.PackedRows)
                        {
                            int mb = Math.Min(block.PackedRows, mc - ib);
                            if (TA.LinesAreRows) A.Read(row + ic + ib, mb, K0 + pc, kc, buffers.A, ByRow.Stride);
                            else Packing.AcrossLines(A, K0 + pc, kc, row + ic + ib, mb, mr, buffers.A, buffers.Lines);
                            for (int ir = 0; ir < mb; ir += mr)
                            {
                                float* a = buffers.A + (TA.LinesAreRows ? 0 : (long)ir * kc);
                                float* sum = buffers.Sums + (onePart ? 0 : (long)((ib + ir) / mr) * columnTiles * mr * nr);
                                for (int jr = 0; jr < nc; jr += nr)
                                {
                                    next.Prefetch(linesAtOnce);
                                    LastRows.Multiply<TTile, TLayout>(mb - ir, walk, a, b + (long)jr * kc, sum, first);
                                    if (last) Sink.Store(sum, nr, row + ic + ib + ir, column + jc + jr, Math.Min(mr, mb - ir), Math.Min(nr, nc - jr), Map);
                                    if (!onePart) sum += mr * nr;
                                }
                            }
                        }
                    }
                    if (jc + nc == n) Stored.SumWhole(row, row + ic, row + ic + mc);
                }
            }
        }

        /// <summary>The block of B that will be packed after this one; none after the last. Fetched a few lines before each tile, it is in L2 by then.</summary>
        private Upcoming<TB> Ahead(Blocking block, int column, int n, int jc, int pc)
        {
            int kc = Math.Min(block.Depth, K - pc), nc = Math.Min(block.Columns, n - jc);
            if (nc <= 0) return default;
            return TB.LinesAreRows ? new(B, K0 + pc, kc, column + jc, nc) : new(B, column + jc, nc, K0 + pc, kc);
        }
    }

    /// <summary>Lines of an operand on their way into the cache.</summary>
    private struct Upcoming<TReader>(TReader reader, int line, int lines, int start, int count) where TReader : unmanaged, IReader
    {
        private readonly TReader _reader = reader;
        private readonly int _start = start, _count = count;
        private int _line = line;

        /// <summary>How many are left.</summary>
        public int Lines { get; private set; } = lines;

        public void Prefetch(int lines)
        {
            for (lines = Math.Min(lines, Lines); lines > 0; lines--, Lines--) _reader.Prefetch(_line++, _start, _count);
        }
    }
}
