using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A strip's convolution turned around for few filters, ResNet's 16 above all: filters are the rows of a tile and pixels its
/// columns, over a strip in planes. One vector of 16 filters would need a load for each FMA. The strip and the sums are
/// transposed on their way, which costs 16 channels some 6 % of the products. An element's chain of FMAs is the same: so are its bits.
/// </summary>
internal static unsafe class TurnedStripConvolution
{
    /// <summary>Of a strip: with what the planes take beyond their rows it has room where a strip of <see cref="StripConvolution"/> has.</summary>
    private const int StripFloats = 24 * 1024;

    private const int PanelFilters = 16;

    /// <summary>Part of the tile's speed that is left beside the transpositions.</summary>
    private const double Speed = 0.94;

    /// <summary>Whether turning pays: where filters fill tiles of 8 much better than they do vectors.</summary>
    public static bool Fits<T, TStorage>(ImageStrip<T, TStorage> image, int n)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        if (!Vector512.IsHardwareAccelerated || image.Channels % 16 != 0 || (image.Pitch + 16) * image.Channels > Blocking.LineCapacity) return false;
        int rows = image.RowsWithin(StripFloats), pixels = rows * image.Pitch;
        return Plane(image, rows) * image.Channels <= StripConvolution.StripFloats &&
            Shape.Cost(n, pixels) / Speed < TileShape.For(pixels, n).Cost(pixels, n);
    }

    public static void Run<T, TStorage, TB, TMap, TSink>(ImageStrip<T, TStorage> image, int batch, int n, TB b, TMap map, TSink sink, StoredRows stored, int threads)
        where T : unmanaged where TStorage : struct, ICpuStorage<T>
        where TB : unmanaged, IReader where TMap : unmanaged, IMap where TSink : unmanaged, ISink
    {
        int rows = image.RowsWithin(StripFloats);
        var strips = Strips.Of(image, batch, rows, n, threads);
        var job = new Job<T, TStorage, TB, TMap, TSink>
        {
            Image = image, B = b, Map = map, Sink = sink, Stored = stored, N = n, Strips = strips, Plane = Plane(image, rows),
        };
        if (strips.Threads == 1) Job<T, TStorage, TB, TMap, TSink>.Work(&job, 0);
        else WorkerPool.Shared.Run(strips.Threads, &Job<T, TStorage, TB, TMap, TSink>.Work, &job);
        for (int thread = 1; thread < strips.Threads; thread++) stored.SumAcross(strips.Pixel(strips.First(thread)));
    }

    private static TileShape Shape => TileShape.All[0];

    private static int Plane<T, TStorage>(ImageStrip<T, TStorage> image, int rows)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T> => image.Plane(rows, Shape.Columns);

    private struct Job<T, TStorage, TB, TMap, TSink>
        where T : unmanaged where TStorage : struct, ICpuStorage<T>
        where TB : unmanaged, IReader where TMap : unmanaged, IMap where TSink : unmanaged, ISink
    {
        public ImageStrip<T, TStorage> Image;
        public TB B;
        public TMap Map;
        public TSink Sink;
        public StoredRows Stored;
        public int N;
        public Strips Strips;
        public int Plane; // floats of one channel's

        public static void Work(void* job, int thread)
        {
            ref var j = ref *(Job<T, TStorage, TB, TMap, TSink>*)job;
            j.Convolve<Tile8x3<Lane512>>(j.Strips.First(thread), j.Strips.First(thread + 1));
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Convolve<TTile>(int first, int end) where TTile : struct, ITile
        {
            int mr = TTile.Rows, nr = TTile.Columns, run = Image.Run, pitch = Image.Pitch, filters = (N + PanelFilters - 1) / PanelFilters * PanelFilters;
            int panels = filters * run; // of one row of the kernel
            var buffers = GemmBuffers.Mine;
            for (int row = 0; row < Image.KernelHeight; row++)
                Packing.OfB(B, row * run, run, 0, N, PanelFilters, buffers.B + (long)row * panels, buffers.Lines);
            var walk = new Walk(Image.KernelHeight, Image.KernelWidth, Image.Channels, PanelFilters, Plane, 0, 1 - Image.Channels * Plane,
                panels - PanelFilters * run, pitch - Image.KernelWidth);
            float* byFilter = buffers.Sums, byPixel = byFilter + filters * nr;
            for (int strip = first; strip < end; strip++)
            {
                var (n, top, rows) = Strips.At(strip);
                Image.FillPlanes(n, top, rows, buffers.A, Plane, buffers.Lines);
                var (length, step) = Image.Stretch(rows, nr);
                for (int start = 0; start < rows * pitch; start += step)
                {
                    for (int pixel = start; pixel < start + length; pixel += nr)
                    {
                        int count = Math.Min(nr, start + length - pixel);
                        var (seen, lines) = Image.KernelRows(top + pixel / pitch, top + (pixel + count - 1) / pitch);
                        var some = walk with { Lines = lines };
                        float* a = buffers.B + (long)seen * panels, b = buffers.A + pixel + (long)seen * pitch;
                        for (int f = 0; f < N; f += mr)
                            TTile.Multiply<ByStep>(some, a + (long)(f / PanelFilters) * PanelFilters * run + f % PanelFilters, b, byFilter + f * nr, true);
                        for (int f = 0; f < N; f += 16)
                            for (int p = 0; p < nr; p += 16) Packing.Transpose16(byFilter + f * nr + p, nr, byPixel + (long)p * filters + f, filters);
                        Image.Store(byPixel, filters, n * Image.OutHeight + top, pixel, count, 0, N, Map, Sink);
                    }
                }
                Stored.SumWhole(Strips.Pixel(first), Strips.Pixel(strip), Strips.Pixel(strip + 1));
            }
        }
    }
}
