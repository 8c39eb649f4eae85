namespace Microsoft.ML.MixedPrecision;

/// <summary>Whether what adjoins in memory comes in whole, aligned chunks: all that the fast way to read or store it asks of a shape.</summary>
internal static class WholeLines
{
    /// <param name="chunk">Elements; a power of two, at most those of 16 bytes.</param>
    public static bool Are(int chunk, MatrixOperand operand) => operand switch
    {
        DenseOperand o => Are(chunk, o.Source, o.Transposed ? o.Rows : o.Columns, o.Pitch, o.Start, o.Step),
        PatchesOperand { Geometry: var g } o => Are(chunk, o.Source, g.GroupChannels, g.Channels, 0, o.Step),
        GradientPatchesOperand { Geometry: var g } o => Are(chunk, o.Source, g.GroupFilters, g.Filters, 0, o.Step),
        ReversedTapsOperand { Geometry: var g } o => Are(chunk, o.Source, g.GroupFilters, g.GroupFilters, 0, o.Step),
        _ => false,
    };

    /// <param name="chunk">Elements; a power of two, at most those of 16 bytes.</param>
    /// <param name="adjoining">Elements along the direction in which neighbours adjoin.</param>
    /// <param name="pitch">From one line of them to the next.</param>
    /// <param name="start">The first.</param>
    /// <param name="step">From one product to the next.</param>
    public static bool Are(int chunk, Tensor tensor, long adjoining, long pitch, long start, long step) => ((adjoining | pitch | (start + tensor.Start) | step) & (chunk - 1)) == 0;
}
