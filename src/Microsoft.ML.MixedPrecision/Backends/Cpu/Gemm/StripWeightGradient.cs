using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// dW[(kh, kw, c), f] = sum over output pixels of image[pixel + (kh, kw), c] * dy[pixel, f], over an <see cref="ImageStrip{T, TStorage}"/>:
/// for each row of the kernel, dy^T times the strip itself, whose steps of k lie a pixel apart; a row of the output that sees only padding there is left out. Nothing is packed: a pixel is
/// converted once, where patches convert it for each tap. The batch is summed in parts fixed by shape, each by one thread, and the
/// parts are added in their order: the bits do not depend on the threads.
/// </summary>
internal static unsafe class StripWeightGradient
{
    /// <summary>Of a strip: it, as much of dy and the sums of a tile are in L1 together, or all but.</summary>
    private const int StripFloats = 8 * 1024;

    private const int MostParts = 16, PartialSums = 512 * 1024; // floats of all parts, where that leaves more than one

    /// <summary>Whether a gradient goes this way: tiles at least half filled, and not so many weights that their parts would cost more than the packing.</summary>
    public static bool Fits<T, TStorage>(Conv2dGeometry g)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T> =>
        g.KernelWidth > 1 && g.KernelWidth * g.Channels >= CpuVector.Width / 2 && g.Channels <= 64 && g.Filters is >= 8 and <= 128 && (long)g.Patch * g.Filters <= PartialSums / 8 &&
        ImageStrip<T, TStorage>.Fits(g, g.OutWidth, 3 * StripFloats) && (long)(g.OutWidth + 1) * g.Filters <= Blocking.LineCapacity / 2;

    public static Geometry Plan<T, TStorage>(ImageStrip<T, TStorage> image, int batch, int filters)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        var tile = TileShape.For(filters, image.Run);
        int down = (filters + tile.Rows - 1) / tile.Rows, across = (image.Run + tile.Columns - 1) / tile.Columns;
        int rows = Math.Min(image.RowsWithin(StripFloats), Math.Max(1, (Blocking.LineCapacity / filters - 1) / image.OutWidth));
        int most = Math.Clamp(PartialSums / (image.KernelHeight * image.Run * filters), 1, MostParts);
        return new Geometry(batch, filters, rows, Math.Min(batch, 1 << BitOperations.Log2((uint)most)), tile, down, across);
    }

    /// <param name="Rows">Output rows of a strip.</param>
    /// <param name="Parts">Of the batch.</param>
    /// <param name="Down">Tiles over the filters.</param>
    /// <param name="Across">Tiles over a row of the kernel.</param>
    internal readonly record struct Geometry(int Batch, int Filters, int Rows, int Parts, TileShape Tile, int Down, int Across)
    {
        public int TileFloats => Tile.Rows * Tile.Columns;

        /// <summary>Floats of one part's sums: tile after tile.</summary>
        public long PartFloats(int kernelHeight) => (long)kernelHeight * Across * Down * TileFloats;
    }

    public static void Run<T, TStorage>(ImageStrip<T, TStorage> image, T* dy, in Geometry g, ToColumns<T, TStorage> sink, int threads, float* scratch)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        threads = Math.Min(ThreadGrid.ThreadsFor(image.Flop(g.Batch, g.Filters), threads), g.Parts);
        var job = new Job<T, TStorage> { Image = image, Gradient = dy, G = g, Sink = sink, Threads = threads, Sums = scratch };
        WorkerPool.Shared.Run(threads, &Job<T, TStorage>.Sum, &job);
        WorkerPool.Shared.Run(threads, &Job<T, TStorage>.Join, &job);
    }

    private struct Job<T, TStorage>
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        public ImageStrip<T, TStorage> Image;
        public T* Gradient;
        public Geometry G;
        public ToColumns<T, TStorage> Sink;
        public int Threads;
        public float* Sums;

        public static void Sum(void* job, int thread)
        {
            ref var j = ref *(Job<T, TStorage>*)job;
            for (int part = thread * j.G.Parts / j.Threads; part < (thread + 1) * j.G.Parts / j.Threads; part++)
            {
                if (j.G.Tile.Columns == 48) j.Sum<Tile8x3<Lane512>>(part);
                else if (j.G.Tile.Columns == 32) j.Sum<Tile12x2<Lane512>>(part);
                else if (Vector512.IsHardwareAccelerated) j.Sum<Tile16x1<Lane512>>(part);
                else if (Vector256.IsHardwareAccelerated) j.Sum<Tile6x2<Lane256>>(part);
                else j.Sum<Tile6x4<Lane128>>(part);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Sum<TTile>(int part) where TTile : struct, ITile
        {
            int mr = TTile.Rows, nr = TTile.Columns, pitch = Image.Pitch, channels = Image.Channels, filters = G.Filters;
            float* sums = Sums + part * G.PartFloats(Image.KernelHeight), strip = GemmBuffers.Mine.A, dy = GemmBuffers.Mine.Lines;
            bool first = true;
            for (int n = (int)((long)part * G.Batch / G.Parts); n < (part + 1L) * G.Batch / G.Parts; n++)
            {
                for (int top = 0; top < Image.OutHeight; top += G.Rows, first = false)
                {
                    int rows = Math.Min(G.Rows, Image.OutHeight - top);
                    Image.Fill(n, top, rows, strip);
                    TStorage.LoadWide(Gradient + ((long)n * Image.OutHeight + top) * Image.OutWidth * filters, dy, rows * Image.OutWidth * filters);
                    float* sum = sums;
                    for (int row = 0; row < Image.KernelHeight; row++)
                    {
                        var (seen, lines) = Image.OutputRows(top, rows, row);
                        var walk = Walk.ByLine(lines, Image.OutWidth, filters, channels, 0, (pitch - Image.OutWidth) * channels);
                        float* a = dy + seen * Image.OutWidth * filters, b = strip + (row + seen) * pitch * channels;
                        for (int column = 0; column < Image.Run; column += nr)
                            for (int filter = 0; filter < filters; filter += mr, sum += mr * nr)
                                LastRows.Multiply<TTile, ByStep>(filters - filter, walk, a + filter, b + column, sum, first);
                    }
                }
            }
        }

        /// <summary>Part upon part, tile by tile, then to the weights.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Join(void* job, int thread)
        {
            ref var j = ref *(Job<T, TStorage>*)job;
            ref readonly var g = ref j.G;
            int tiles = j.Image.KernelHeight * g.Across * g.Down, run = j.Image.Run;
            long part = g.PartFloats(j.Image.KernelHeight);
            for (int t = thread * tiles / j.Threads; t < (thread + 1) * tiles / j.Threads; t++)
            {
                float* tile = j.Sums + (long)t * g.TileFloats;
                for (int i = 0; i < g.TileFloats; i += CpuVector.Width)
                {
                    var sum = Vector512.Load(tile + i);
                    for (int p = 1; p < g.Parts; p++) sum += Vector512.Load(tile + p * part + i);
                    sum.Store(tile + i);
                }
                int filter = t % g.Down * g.Tile.Rows, column = t / g.Down % g.Across * g.Tile.Columns, row = t / (g.Down * g.Across);
                j.Sink.Store(tile, g.Tile.Columns, filter, row * run + column, Math.Min(g.Tile.Rows, g.Filters - filter), Math.Min(g.Tile.Columns, run - column), new Plain());
            }
        }
    }
}
