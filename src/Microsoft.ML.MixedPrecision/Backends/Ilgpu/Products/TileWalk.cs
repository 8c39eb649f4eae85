namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Which tile of C a group makes: bands of 2,048 rows, each walked column by column, so that what neighbouring groups read stays in the L2 cache. Products one after the other
/// are the grid's Z.
/// </summary>
internal readonly struct TileWalk(int down, int across)
{
    public readonly int Down = down, Across = across;

    /// <param name="tile">Among those of the product.</param>
    /// <param name="bandShift">The logarithm of a band's tiles in a column.</param>
    public static TileWalk At(int tile, int tilesDown, Divisor tilesAcross, int bandShift)
    {
        int band = Divisor.Quotient(tile, tilesAcross) >> bandShift, first = band << bandShift, inBand = tile - first * tilesAcross.Value, height = 1 << bandShift;
        if (first + height <= tilesDown) return new(first + (inBand & (height - 1)), inBand >> bandShift);
        int rest = tilesDown - first, across = inBand / rest; // the last band
        return new(first + inBand - across * rest, across);
    }
}
