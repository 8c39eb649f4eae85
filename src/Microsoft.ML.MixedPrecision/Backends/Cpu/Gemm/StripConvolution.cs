using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A convolution whose product walks over an <see cref="ImageStrip{T, TStorage}"/>: an image of few channels is converted once
/// instead of once for each tap, which would cost 16 channels as much as the products do. An element's chain of FMAs is the
/// product's own, in the order of k: the bits are those of <see cref="Gemm"/> over patches.
/// </summary>
internal static unsafe class StripConvolution
{
    /// <summary>Of a strip: it stays in L2, and the rows that neighbouring strips share are few.</summary>
    public const int StripFloats = 32 * 1024;

    /// <summary>Whether a convolution goes this way: few channels, because of many it has little to gain.</summary>
    public static bool Fits<T, TStorage>(Conv2dGeometry g, int outWidth, int n)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T> =>
        g.Channels is 1 or 3 or 16 or 32 or 64 && g.KernelWidth > 1 && g.KernelWidth * g.Channels <= Blocking.MaxDepth &&
        ImageStrip<T, TStorage>.Fits(g, outWidth, StripFloats) && n <= Blocking.MaxLine && (long)g.Patch * (n + 48) <= Blocking.BCapacity;

    public static void Run<T, TStorage, TB, TMap, TSink>(ImageStrip<T, TStorage> image, int batch, int n, TB b, TMap map, TSink sink, StoredRows stored, int threads)
        where T : unmanaged where TStorage : struct, ICpuStorage<T>
        where TB : unmanaged, IReader where TMap : unmanaged, IMap where TSink : unmanaged, ISink
    {
        int rows = image.RowsWithin(StripFloats);
        var tile = TileShape.For(rows * image.Pitch, n);
        int images = DenseImages(image, tile, rows, Math.Max(1, batch / threads));
        var strips = Strips.Of(image, batch, rows, n, threads);
        var job = new Job<T, TStorage, TB, TMap, TSink>
        {
            Image = image, B = b, Map = map, Sink = sink, Stored = stored, N = n, Shape = tile, Strips = strips, ByTap = GoesByTap(image, tile, rows, images), DenseImages = images,
        };
        if (strips.Threads == 1) Job<T, TStorage, TB, TMap, TSink>.Work(&job, 0);
        else WorkerPool.Shared.Run(strips.Threads, &Job<T, TStorage, TB, TMap, TSink>.Work, &job);
        for (int thread = 1; thread < strips.Threads; thread++) stored.SumAcross(strips.Pixel(strips.First(thread)));
    }

    /// <summary>
    /// Images of a strip whose tiles go on from one row of the output to the next, and from one image to the next, so that no pixel of a
    /// tile lies between rows: as many as fill the tiles best. 0 where that is not possible, or saves nothing.
    /// </summary>
    internal static int DenseImages<T, TStorage>(ImageStrip<T, TStorage> image, TileShape tile, int rows, int most)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        if (tile.Rows is not (8 or 12) || image.OutWidth % 4 != 0 || image.OutWidth < 8) return 0; // as layouts can split
        most = rows == image.OutHeight ? Math.Min(most, StripFloats / (image.Pixels(rows) * image.Channels)) : 1;
        var (best, least) = (0, (double)image.TilesOf(rows, tile.Rows));
        for (int images = 1; images <= most; images++)
        {
            double tiles = (double)((images * rows * image.OutWidth + tile.Rows - 1) / tile.Rows) / images;
            if (tiles < least) (best, least) = (images, tiles);
        }
        return best;
    }

    /// <summary>
    /// Whether tap by tap fewer products are made than of all pixels of the output, where a tap sees padding beside the image: 24 pixels of 26
    /// in an input gradient of 3x3 without padding, 6 % of its time. A tile's sums come and go for each tap, which takes as long as 3 steps of k.
    /// </summary>
    /// <param name="images">As <see cref="DenseImages"/> gives them.</param>
    internal static bool GoesByTap<T, TStorage>(ImageStrip<T, TStorage> image, TileShape tile, int rows, int images)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        if ((image.OutWidth + tile.Rows) * tile.Columns > Blocking.SumCapacity) return false;
        var (length, step) = image.Stretch(rows, tile.Rows);
        double all = images > 0 ? (double)tile.PaddedRows(images * rows * image.OutWidth) / images : tile.PaddedRows(length) * (rows * image.Pitch / step);
        int seen = 0;
        for (int tap = 0; tap < image.KernelWidth; tap++)
        {
            var (first, end) = image.OutputColumns(tap);
            seen += tile.PaddedRows(end - first);
        }
        return (double)seen * rows / image.KernelWidth * (1 + 3.0 / image.Channels) < all;
    }

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
        public TileShape Shape;
        public Strips Strips;
        public bool ByTap; // see GoesByTap
        public int DenseImages; // that are one strip, where it is whole images

        public static void Work(void* job, int thread)
        {
            ref var j = ref *(Job<T, TStorage, TB, TMap, TSink>*)job;
            int first = j.Strips.First(thread), end = j.Strips.First(thread + 1);
            if (j.Shape.Columns == 48) j.WithTile<Tile8x3<Lane512>>(first, end);
            else if (j.Shape.Columns == 32) j.WithTile<Tile12x2<Lane512>>(first, end);
            else if (Vector512.IsHardwareAccelerated) j.WithTile<Tile16x1<Lane512>>(first, end);
            else if (Vector256.IsHardwareAccelerated) j.WithTile<Tile6x2<Lane256>>(first, end);
            else j.WithTile<Tile6x4<Lane128>>(first, end);
        }

        /// <summary>Floats of the panels of one row of the kernel.</summary>
        private readonly int Panels(int width) => (N + width - 1) / width * width * Image.Run;

        private void WithTile<TTile>(int first, int end) where TTile : struct, ITile
        {
            switch (Image.Channels)
            {
                case 1: Convolve<TTile, ByStep>(first, end); break;
                case 3: Convolve<TTile, ByPixelOf3>(first, end); break;
                case 16: Convolve<TTile, ByPixelOf16>(first, end); break;
                case 32: Convolve<TTile, ByPixelOf32>(first, end); break;
                default: Convolve<TTile, ByPixelOf64>(first, end); break;
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Convolve<TTile, TLayout>(int first, int end) where TTile : struct, ITile where TLayout : struct, ILayout
        {
            int nr = TTile.Columns, depth = Image.Run, pitch = Image.Pitch;
            int panels = Panels(nr);
            var buffers = GemmBuffers.Mine;
            for (int row = 0; row < Image.KernelHeight; row++)
                Packing.OfB(B, row * depth, depth, 0, N, nr, buffers.B + (long)row * panels, buffers.Lines);
            var walk = Walk.ByLine(Image.KernelHeight, depth, 1, nr, pitch * Image.Channels - depth, panels - nr * depth);
            int together = ByTap ? 1 : Math.Max(DenseImages, 1);
            for (int strip = first; strip < end; strip += together)
            {
                var (n, top, rows) = Strips.At(strip);
                int images = Math.Min(together, end - strip);
                for (int i = 0; i < images; i++) Image.Fill(n + i, top, rows, buffers.A + i * Image.Pixels(rows) * Image.Channels);
                int row = n * Image.OutHeight + top;
                if (ByTap) MultiplyByTap<TTile, TLayout>(row, top, rows);
                else if (DenseImages > 0) MultiplyDense<TTile, TLayout>(walk, row, top, rows, images * rows * Image.OutWidth);
                else MultiplyRows<TTile, TLayout>(walk, row, top, rows);
                Stored.SumWhole(Strips.Pixel(first), Strips.Pixel(strip), Strips.Pixel(strip + images));
            }
        }

        /// <summary>Tiles of neighbours in a strip, some of which may lie between rows.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void MultiplyRows<TTile, TLayout>(Walk walk, int row, int top, int rows) where TTile : struct, ITile where TLayout : struct, ILayout
        {
            int mr = TTile.Rows, nr = TTile.Columns, pitch = Image.Pitch;
            var (length, step) = Image.Stretch(rows, mr);
            for (int start = 0; start < rows * pitch; start += step)
            {
                for (int pixel = start; pixel < start + length; pixel += mr)
                {
                    int count = Math.Min(mr, start + length - pixel);
                    var (seen, lines) = Image.KernelRows(top + pixel / pitch, top + (pixel + count - 1) / pitch);
                    Tile some = new(walk with { Lines = lines }, pixel + seen * pitch, seen);
                    for (int column = 0; column < N; column += nr)
                    {
                        float* sums = Multiply<TTile, TLayout>(some, count, column);
                        Image.Store(sums, nr, row, pixel, count, column, Math.Min(nr, N - column), Map, Sink);
                    }
                }
            }
        }

        /// <summary>Row by row of the output, and there tap by tap the pixels that see the image: their sums go on from tap to tap.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void MultiplyByTap<TTile, TLayout>(int row, int top, int rows) where TTile : struct, ITile where TLayout : struct, ILayout
        {
            int mr = TTile.Rows, nr = TTile.Columns, channels = Image.Channels, width = Image.OutWidth, panels = Panels(nr);
            var buffers = GemmBuffers.Mine;
            float* sums = buffers.Sums;
            var walk = Walk.Along(channels, 1, nr);
            for (int y = 0; y < rows; y++)
            {
                var (seen, lines) = Image.KernelRows(top + y, top + y);
                for (int column = 0; column < N; column += nr)
                {
                    new Span<float>(sums, width * nr).Clear();
                    for (int line = seen; line < seen + lines; line++)
                    {
                        float* a = buffers.A + (y + line) * Image.Pitch * channels, b = buffers.B + (long)line * panels + (long)column * Image.Run;
                        for (int tap = 0; tap < Image.KernelWidth; tap++, a += channels, b += channels * nr)
                        {
                            // A last tile goes on over pixels that see zeros, or that are none.
                            var (x, end) = Image.OutputColumns(tap);
                            for (; x < end; x += mr) LastRows.Multiply<TTile, TLayout>(end - x, walk, a + x * channels, b, sums + x * nr, false);
                        }
                    }
                    Sink.Store(sums, nr, (row + y) * width, column, width, Math.Min(nr, N - column), Map);
                }
            }
        }

        /// <summary>Tiles of neighbours in the output: where one goes beyond the end of a row, its pixels are in two parts.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void MultiplyDense<TTile, TLayout>(Walk walk, int row, int top, int rows, int pixels) where TTile : struct, ITile where TLayout : struct, ILayout
        {
            int mr = TTile.Rows, nr = TTile.Columns, width = Image.OutWidth, pitch = Image.Pitch;
            for (int pixel = 0; pixel < pixels; pixel += mr)
            {
                int count = Math.Min(mr, pixels - pixel), y = pixel / width, x = pixel % width, left = width - x;
                int place = y / rows * Image.Pixels(rows) + y % rows * pitch + x, next = (y + 1) / rows * Image.Pixels(rows) + (y + 1) % rows * pitch;
                // Beside the first rows of the next image the last ones of this see all of the kernel.
                int last = left >= count ? y : y + 1;
                var (seen, lines) = last / rows == y / rows ? Image.KernelRows(top + y % rows, top + last % rows) : (0, Image.KernelHeight);
                Tile some = new(walk with { Lines = lines, GapA = (next - place - left) * Image.Channels }, place + seen * pitch, seen);
                for (int column = 0; column < N; column += nr)
                {
                    float* sums = left >= count ? Multiply<TTile, TLayout>(some, count, column)
                        : left == 4 ? Multiply<TTile, SplitAt4<TLayout>>(some, count, column)
                        : Multiply<TTile, SplitAt8<TLayout>>(some, count, column);
                    Sink.Store(sums, nr, row * width + pixel, column, count, Math.Min(nr, N - column), Map);
                }
            }
        }

        /// <param name="Place">The first pixel that it sees in the strip.</param>
        /// <param name="KernelRow">The first in which it sees the image.</param>
        private readonly record struct Tile(Walk Walk, int Place, int KernelRow);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly float* Multiply<TTile, TLayout>(in Tile tile, int pixels, int column) where TTile : struct, ITile where TLayout : struct, ILayout
        {
            var buffers = GemmBuffers.Mine;
            int depth = Image.Run, panels = Panels(TTile.Columns);
            LastRows.Multiply<TTile, TLayout>(pixels, tile.Walk, buffers.A + tile.Place * Image.Channels, buffers.B + (long)tile.KernelRow * panels + (long)column * depth, buffers.Sums, true);
            return buffers.Sums;
        }
    }
}
