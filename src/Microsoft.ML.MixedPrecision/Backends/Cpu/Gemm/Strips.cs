namespace Microsoft.ML.MixedPrecision;

/// <summary>How a convolution is cut into strips of at most so many output rows of one image, and these are shared out: to each thread neighbours.</summary>
/// <param name="Rows">Of a strip; the last one of an image may have fewer.</param>
/// <param name="Count">Of the whole batch.</param>
internal readonly record struct Strips(int OutHeight, int OutWidth, int Rows, int Count, int Threads)
{
    /// <param name="filters">As many as make the work, by which threads pay.</param>
    public static Strips Of<T, TStorage>(ImageStrip<T, TStorage> image, int batch, int rows, int filters, int threads)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        int count = (image.OutHeight + rows - 1) / rows * batch;
        return new(image.OutHeight, image.OutWidth, rows, count, Math.Min(ThreadGrid.ThreadsFor(image.Flop(batch, filters), threads), count));
    }

    /// <summary>The first strip of a thread; of the one after the last, how many there are.</summary>
    public int First(int thread) => (int)((long)thread * Count / Threads);

    /// <summary>A strip's image, and the first of its rows there and how many they are.</summary>
    public (int Image, int Top, int Rows) At(int strip)
    {
        int perImage = (OutHeight + Rows - 1) / Rows, top = strip % perImage * Rows;
        return (strip / perImage, top, Math.Min(Rows, OutHeight - top));
    }

    /// <summary>The batch's output pixel in which a strip begins, a row of the product.</summary>
    public long Pixel(int strip)
    {
        var (image, top, _) = At(strip);
        return ((long)image * OutHeight + top) * OutWidth;
    }
}
