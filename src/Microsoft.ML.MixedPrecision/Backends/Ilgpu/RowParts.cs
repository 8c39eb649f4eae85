namespace Microsoft.ML.MixedPrecision;

/// <summary>The parts into which rows are cut before they are summed. Fixed by the shape, and so is the order of a sum.</summary>
internal readonly record struct RowParts(int Rows, int RowsPerPart)
{
    /// <summary>
    /// Groups of 64 threads that a launch has at most, and has for large matrices: ten for each of an H200's 132 multiprocessors, twelve for an A100's 108, which is what has
    /// registers there at the same time (80 a thread). With 64 to 128 bytes to a thread under way they have 40 to 80 KB in each; the latency of its memory asks for 32.
    /// </summary>
    private const int MostGroups = 1280;

    /// <summary>A part writes two floats for each column: with 32 rows of halves an eighth of what it reads.</summary>
    private const int FewestRows = 32;

    private const int RowsOfThread = 8, Threads = IlgpuBackend.ReductionThreads;

    public int Count => (Rows + RowsPerPart - 1) / RowsPerPart;

    /// <summary>The parts of a matrix: eight rows for each thread of a group, or as many times that as leave <see cref="MostGroups"/>.</summary>
    /// <param name="rows">Of the matrix.</param>
    /// <param name="columns">Of the matrix.</param>
    /// <param name="together">As in <see cref="IlgpuBackend.SumColumns"/>.</param>
    public static RowParts Of(int rows, int columns, int? together = null)
    {
        int vectors = ((together ?? columns) & 7) == 0 ? columns >> 3 : columns, shift = AcrossShift(vectors);
        int shortest = Math.Max(RowsOfThread * (Threads >> shift), FewestRows), most = Math.Max(MostGroups / (((vectors - 1) >> shift) + 1), 1);
        return new(rows, (int)Math.Max(((long)rows + (long)shortest * most - 1) / ((long)shortest * most), 1) * shortest);
    }

    /// <summary>The power of two of vectors side by side that a group's threads take: all, or 64; what is left of the threads shares the rows.</summary>
    public static int AcrossShift(int vectors)
    {
        int shift = 0;
        while (1 << shift < vectors && 1 << shift < Threads) shift++;
        return shift;
    }
}
