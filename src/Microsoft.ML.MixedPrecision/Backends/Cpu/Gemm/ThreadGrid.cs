namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// How a product is shared out: its register tile, and a grid of threads over C. Each thread packs what it needs by itself (no barrier), so
/// what counts is the busiest one's tiles and what it packs for them.
/// </summary>
/// <param name="Tile">The same for all threads.</param>
/// <param name="Rows">Of a thread; the last one down may have fewer.</param>
/// <param name="Columns">Of a thread; the last one across may have fewer.</param>
/// <param name="Across">Threads side by side.</param>
/// <param name="Threads">May be fewer than were offered.</param>
internal readonly record struct ThreadGrid(TileShape Tile, int Rows, int Columns, int Across, int Threads)
{
    /// <summary>Below this many FLOP for each thread (1 us on Zen 5, 2 on Zen 4) one more thread brings little more than its hand-off costs (0.3 us).</summary>
    private const double FlopPerThread = 300_000;

    /// <summary>How many products of <paramref name="flop"/> each make it worth while to hand some to one more thread.</summary>
    public static long WorthAThread(double flop) => (long)Math.Ceiling(FlopPerThread / flop);

    /// <summary>Cycles to pack 16 elements, where 16 FMAs take one.</summary>
    private const double PackingCycles = 4;

    /// <summary>As many of <paramref name="offered"/> threads as have enough to do.</summary>
    public static int ThreadsFor(double flop, int offered) => (int)Math.Clamp(flop / FlopPerThread, 1, Math.Min(offered, WorkerPool.Shared.Threads));

    public static ThreadGrid For(int m, int n, int k, int offered)
    {
        int threads = ThreadsFor(2.0 * m * n * k, offered), parts = Gemm.Parts(m, n, k);
        if (parts > 1) return new(TileShape.For(m, n), m, n, 1, Math.Min(threads, parts)); // of k: each thread all of C
        var (best, least) = (default(ThreadGrid), double.MaxValue);
        foreach (var tile in TileShape.All)
        {
            for (int across = 1; across <= threads; across++)
            {
                int rows = Part(m, threads / across, tile.Rows), columns = Part(n, across, tile.Columns);
                double cost = tile.Cost(Math.Min(rows, m), Math.Min(columns, n)) + (rows + columns) * PackingCycles;
                if (cost >= least) continue;
                int used = (n + columns - 1) / columns;
                (best, least) = (new(tile, rows, columns, used, used * ((m + rows - 1) / rows)), cost);
            }
        }
        return best;
    }

    private static int Part(int total, int parts, int step) => ((total + step - 1) / step + parts - 1) / parts * step;
}
