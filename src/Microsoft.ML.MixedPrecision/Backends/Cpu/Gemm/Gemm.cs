using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// C[m,n] = sink(map(A[m,k] * B[k,n])): halves in, FP32 sums. Readers, map and sink are struct type parameters, so
/// each combination compiles to its own straight code. AggressiveOptimization on every loop: in the first tier a product
/// of 64 cubed takes 28 us instead of 6.6, for the first 6,000 calls.
/// </summary>
internal static unsafe class Gemm
{
    /// <summary>Below this many FLOP for each thread (1 us on Zen 5, 2 on Zen 4) one more thread brings little more than its hand-off costs (0.3 us).</summary>
    public const double FlopPerThread = 300_000;

    public static void Run<TA, TB, TMap, TSink>(int m, int n, int k, TA a, TB b, TMap map, TSink sink, int threads)
        where TA : unmanaged, IReader where TB : unmanaged, IReader
        where TMap : unmanaged, IMap where TSink : unmanaged, ISink
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(k);
        if (m <= 0 || n <= 0) return;
        var job = new Job<TA, TB, TMap, TSink> { M = m, N = n, K = k, A = a, B = b, Map = map, Sink = sink };
        job.Tile = ChooseTile(m, n);
        threads = (int)Math.Clamp(2.0 * m * n * k / FlopPerThread, 1, Math.Min(threads, WorkerPool.Shared.Threads));
        job.Split(ref threads);
        if (threads == 1) Job<TA, TB, TMap, TSink>.Work(&job, 0);
        else WorkerPool.Shared.Run(threads, &Job<TA, TB, TMap, TSink>.Work, &job);
    }

    /// <summary>The shape that takes least: its padded area over its speed. Shapes of 512 bits only, where there are any: 256 have half the speed but on Zen 4.</summary>
    private static TileShape ChooseTile(int m, int n)
    {
        if (!Vector512.IsHardwareAccelerated) return new(6, 16, 1);
        var best = new TileShape(8, 48, 1);
        foreach (var shape in (ReadOnlySpan<TileShape>)[new(12, 32, 1), new(16, 16, 0.88)])
            if (shape.Cost(m, n) < best.Cost(m, n)) best = shape;
        return best;
    }

    /// <param name="Speed">Part of the core's FMA peak.</param>
    private readonly record struct TileShape(int Rows, int Columns, double Speed)
    {
        public double Cost(int m, int n) => (double)((m + Rows - 1) / Rows) * ((n + Columns - 1) / Columns) * Rows * Columns / Speed;
    }

    private struct Job<TA, TB, TMap, TSink>
        where TA : unmanaged, IReader where TB : unmanaged, IReader
        where TMap : unmanaged, IMap where TSink : unmanaged, ISink
    {
        public int M, N, K;
        public TA A;
        public TB B;
        public TMap Map;
        public TSink Sink;
        public TileShape Tile;
        private int _rows, _columns; // of one thread
        private int _across;         // threads side by side

        /// <summary>
        /// A grid of threads over C. Each packs what it needs by itself (no barrier), so the best grid packs least.
        /// May use fewer threads than offered.
        /// </summary>
        public void Split(ref int threads)
        {
            double best = double.MaxValue;
            int used = 1;
            for (int across = 1; across <= threads; across++)
            {
                int down = threads / across;
                int rows = Part(M, down, Tile.Rows), columns = Part(N, across, Tile.Columns);
                // FMAs at 16 a cycle and packing at about 2 cycles for 16 elements, on the busiest thread.
                double cost = K * ((double)rows * columns / 16 + (rows + columns) / 8.0);
                if (cost >= best) continue;
                (best, _rows, _columns, _across) = (cost, rows, columns, (N + columns - 1) / columns);
                used = _across * ((M + rows - 1) / rows);
            }
            threads = used;
        }

        private static int Part(int total, int parts, int step) => ((total + step - 1) / step + parts - 1) / parts * step;

        public static void Work(void* job, int thread)
        {
            ref var j = ref *(Job<TA, TB, TMap, TSink>*)job;
            int row = thread / j._across * j._rows, column = thread % j._across * j._columns;
            int m = Math.Min(j._rows, j.M - row), n = Math.Min(j._columns, j.N - column);
            if (j.Tile.Columns == 48) j.Block<Tile8x3<Lane512>>(row, column, m, n);
            else if (j.Tile.Columns == 32) j.Block<Tile12x2<Lane512>>(row, column, m, n);
            else if (Vector512.IsHardwareAccelerated) j.Block<Tile16x1<Lane512>>(row, column, m, n);
            else if (Vector256.IsHardwareAccelerated) j.Block<Tile6x2<Lane256>>(row, column, m, n);
            else j.Block<Tile6x4<Lane128>>(row, column, m, n);
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
            var buffers = Buffers.Mine;
            bool onePart = block.Depth >= K;
            for (int jc = 0; jc < n; jc += block.Columns)
            {
                int nc = Math.Min(block.Columns, n - jc), columnTiles = (nc + nr - 1) / nr;
                if (block.WholeB)
                    for (int pc = 0; pc < K; pc += block.Depth)
                        PackB<TTile>(pc, Math.Min(block.Depth, K - pc), column + jc, nc, buffers.B + (long)pc * columnTiles * nr, buffers.Lines);
                for (int ic = 0; ic < m; ic += block.Rows)
                {
                    int mc = Math.Min(block.Rows, m - ic);
                    for (int pc = 0; pc < K; pc += block.Depth)
                    {
                        int kc = Math.Min(block.Depth, K - pc);
                        bool first = pc == 0, last = pc + kc == K;
                        float* b = buffers.B;
                        if (block.WholeB) b += (long)pc * columnTiles * nr;
                        else PackB<TTile>(pc, kc, column + jc, nc, b, buffers.Lines);
                        for (int ib = 0; ib < mc; ib += block.PackedRows)
                        {
                            int mb = Math.Min(block.PackedRows, mc - ib);
                            if (TA.LinesAreRows) A.Read(row + ic + ib, mb, pc, kc, buffers.A, ByRow.Stride);
                            else Packing.AcrossLines(A, pc, kc, row + ic + ib, mb, mr, buffers.A, buffers.Lines);
                            for (int ir = 0; ir < mb; ir += mr)
                            {
                                float* a = buffers.A + (TA.LinesAreRows ? 0 : (long)ir * kc);
                                float* sum = buffers.Sums + (onePart ? 0 : (long)((ib + ir) / mr) * columnTiles * mr * nr);
                                for (int jr = 0; jr < nc; jr += nr)
                                {
                                    TTile.Multiply<TLayout>(kc, a, b + (long)jr * kc, sum, first);
                                    if (last) Finish(sum, nr, row + ic + ib + ir, column + jc + jr, Math.Min(mr, mb - ir), Math.Min(nr, nc - jr));
                                    if (!onePart) sum += mr * nr;
                                }
                            }
                        }
                    }
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void PackB<TTile>(int k0, int depth, int start, int count, float* panels, float* lines) where TTile : struct, ITile
        {
            if (TB.LinesAreRows) Packing.AcrossLines(B, k0, depth, start, count, TTile.Columns, panels, lines);
            else Packing.AlongLines(B, k0, depth, start, count, TTile.Columns, panels, lines);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Finish(float* tile, int nr, int row, int column, int rows, int columns)
        {
            for (int i = 0; i < rows; i++, tile += nr)
            {
                int j = 0;
                for (; j <= columns - 16; j += 16)
                    Sink.Store(Map.Apply(Vector512.Load(tile + j), column + j), row + i, column + j);
                if (j == columns) continue;
                for (int edge = j; edge < columns; edge++) tile[edge] = Map.Apply(tile[edge], column + edge);
                Sink.Store(Vector512.Load(tile + j), row + i, column + j, columns - j);
            }
        }
    }

    /// <summary>One set for each thread, made once, aligned to cache lines, freed after the thread's end.</summary>
    private sealed class Buffers
    {
        [ThreadStatic] private static Buffers? t_mine;

        public static Buffers Mine => t_mine ??= new Buffers();

        public readonly float* A = Allocate(Blocking.ACapacity + 64 * Blocking.MaxDepth);
        public readonly float* B = Allocate(Blocking.BCapacity + 64 * Blocking.MaxDepth);
        public readonly float* Sums = Allocate(Blocking.SumCapacity + 64 * 48);
        public readonly float* Lines = Allocate(Blocking.LineCapacity);

        ~Buffers()
        {
            foreach (nint p in (ReadOnlySpan<nint>)[(nint)A, (nint)B, (nint)Sums, (nint)Lines]) NativeMemory.AlignedFree((void*)p);
        }

        private static float* Allocate(int floats)
        {
            var p = (float*)NativeMemory.AlignedAlloc((nuint)floats * 4, 64);
            new Span<float>(p, floats).Clear();
            return p;
        }
    }
}
