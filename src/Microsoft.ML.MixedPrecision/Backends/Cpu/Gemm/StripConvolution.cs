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
    private const int StripFloats = 32 * 1024;

    /// <summary>Whether a convolution goes this way: few channels, because of many it has little to gain.</summary>
    public static bool Fits<T, TStorage>(Conv2dGeometry g, int outWidth, int n)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T> =>
        g.Channels is 1 or 3 or 16 or 32 or 64 && g.KernelWidth > 1 && g.KernelWidth * g.Channels <= Blocking.MaxDepth &&
        ImageStrip<T, TStorage>.Fits(g, outWidth, StripFloats) && n <= Blocking.MaxLine && (long)g.Patch * (n + 48) <= Blocking.BCapacity;

    public static void Run<T, TStorage, TB, TMap, TSink>(ImageStrip<T, TStorage> image, int batch, int n, TB b, TMap map, TSink sink, int threads)
        where T : unmanaged where TStorage : struct, ICpuStorage<T>
        where TB : unmanaged, IReader where TMap : unmanaged, IMap where TSink : unmanaged, ISink
    {
        if (TurnedStripConvolution.Fits(image, n))
        {
            TurnedStripConvolution.Run(image, batch, n, b, map, sink, threads);
            return;
        }
        int rows = image.RowsWithin(StripFloats), strips = (image.OutHeight + rows - 1) / rows * batch;
        double flop = 2.0 * batch * image.OutHeight * image.OutWidth * n * image.KernelHeight * image.Run;
        threads = ThreadGrid.ThreadsFor(flop, threads);
        threads = Math.Min(threads, strips);
        var job = new Job<T, TStorage, TB, TMap, TSink>
        {
            Image = image, B = b, Map = map, Sink = sink, N = n, Tile = TileShape.For(rows * image.Pitch, n), Rows = rows, Strips = strips, Threads = threads,
        };
        if (threads == 1) Job<T, TStorage, TB, TMap, TSink>.Work(&job, 0);
        else WorkerPool.Shared.Run(threads, &Job<T, TStorage, TB, TMap, TSink>.Work, &job);
    }

    private struct Job<T, TStorage, TB, TMap, TSink>
        where T : unmanaged where TStorage : struct, ICpuStorage<T>
        where TB : unmanaged, IReader where TMap : unmanaged, IMap where TSink : unmanaged, ISink
    {
        public ImageStrip<T, TStorage> Image;
        public TB B;
        public TMap Map;
        public TSink Sink;
        public int N;
        public TileShape Tile;
        public int Rows, Strips, Threads; // output rows of a strip, strips of the batch

        public static void Work(void* job, int thread)
        {
            ref var j = ref *(Job<T, TStorage, TB, TMap, TSink>*)job;
            int first = (int)((long)thread * j.Strips / j.Threads), end = (int)((thread + 1L) * j.Strips / j.Threads);
            if (j.Tile.Columns == 48) j.WithTile<Tile8x3<Lane512>>(first, end);
            else if (j.Tile.Columns == 32) j.WithTile<Tile12x2<Lane512>>(first, end);
            else if (Vector512.IsHardwareAccelerated) j.WithTile<Tile16x1<Lane512>>(first, end);
            else if (Vector256.IsHardwareAccelerated) j.WithTile<Tile6x2<Lane256>>(first, end);
            else j.WithTile<Tile6x4<Lane128>>(first, end);
        }

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
            int mr = TTile.Rows, nr = TTile.Columns, depth = Image.Run, pitch = Image.Pitch;
            int panels = (N + nr - 1) / nr * nr * depth; // of one row of the kernel
            var buffers = GemmBuffers.Mine;
            for (int row = 0; row < Image.KernelHeight; row++)
                Packing.OfB(B, row * depth, depth, 0, N, nr, buffers.B + (long)row * panels, buffers.Lines);
            var walk = Walk.ByLine(Image.KernelHeight, depth, 1, nr, pitch * Image.Channels - depth, panels - nr * depth);
            int perImage = (Image.OutHeight + Rows - 1) / Rows;
            for (int strip = first; strip < end; strip++)
            {
                int n = strip / perImage, top = strip % perImage * Rows, rows = Math.Min(Rows, Image.OutHeight - top);
                Image.Fill(n, top, rows, buffers.A);
                var (length, step) = Image.Stretch(rows, mr);
                for (int start = 0; start < rows * pitch; start += step)
                {
                    for (int pixel = start; pixel < start + length; pixel += mr)
                    {
                        int count = Math.Min(mr, start + length - pixel);
                        var (seen, lines) = Image.KernelRows(top + pixel / pitch, top + (pixel + count - 1) / pitch);
                        var some = walk with { Lines = lines };
                        float* a = buffers.A + (pixel + (long)seen * pitch) * Image.Channels, b = buffers.B + (long)seen * panels;
                        for (int jr = 0; jr < N; jr += nr)
                        {
                            TTile.Multiply<TLayout>(some, a, b + (long)jr * depth, buffers.Sums, true);
                            Image.Store(buffers.Sums, nr, n * Image.OutHeight + top, pixel, count, jr, Math.Min(nr, N - jr), Map, Sink);
                        }
                    }
                }
            }
        }
    }
}
