namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Some rows of a matrix for a thread that keeps what it knows of its columns, such as a mean and a weight, in registers.
/// Which rows they are changes no bit.
/// </summary>
internal readonly record struct RowWalk(int Rows, int Columns)
{
    private const int RowsPerThread = 4;

    /// <summary>Threads, for vectors of a width.</summary>
    public long Threads(int width) => (long)((Rows + RowsPerThread - 1) / RowsPerThread) * (Columns / width);

    /// <summary>A thread's first column, and its rows.</summary>
    public (int Column, int Start, int End) Of(int thread, int width)
    {
        int across = Columns / width, few = thread / across, start = few * RowsPerThread;
        return ((thread - few * across) * width, start, Math.Min(start + RowsPerThread, Rows));
    }
}
