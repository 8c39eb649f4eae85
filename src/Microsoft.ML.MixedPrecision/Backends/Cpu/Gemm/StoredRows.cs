using System.Runtime.InteropServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// What is done with the rows of a product's C once they are stored: the sums of a <see cref="ColumnReader"/>, part by part as
/// <see cref="ChannelParts"/> cuts them, each by the thread that stored its last row, whose cache it still lies in. The parts
/// are those of a pass over memory, and so are the bits. By default nothing is done.
/// </summary>
internal readonly struct StoredRows(GCHandle sum, long rows)
{
    private readonly nint _sum = GCHandle.ToIntPtr(sum); // as a handle, because the jobs of the pool hold no references
    private readonly long _rows = rows;

    /// <summary>Rows up to <paramref name="to"/> are whole, on a thread that began with row <paramref name="begin"/>; those up to <paramref name="from"/> were so before.</summary>
    public void SumWhole(long begin, long from, long to)
    {
        if (_sum == 0) return;
        long first = Math.Max(Ceiling(begin), from / ChannelParts.RowsPerPart), end = to == _rows ? Ceiling(to) : to / ChannelParts.RowsPerPart;
        Sum(first, end);
    }

    /// <summary>All threads are done, one of which began with row <paramref name="border"/>: the part across it, which no thread stored alone.</summary>
    public void SumAcross(long border)
    {
        if (_sum != 0 && border < _rows) Sum(border / ChannelParts.RowsPerPart, Ceiling(border));
    }

    private void Sum(long first, long end)
    {
        if (first < end) ((Action<long, long>)GCHandle.FromIntPtr(_sum).Target!)(first, end);
    }

    private static long Ceiling(long row) => (row + ChannelParts.RowsPerPart - 1) / ChannelParts.RowsPerPart;
}
