using System.Collections;

namespace Microsoft.ML.MixedPrecision;

/// <summary>A bound kernel, and what it reads and writes: all that others may have to wait for.</summary>
internal readonly record struct Work(Action Run, IReadOnlyList<Tensor> Reads, IReadOnlyList<Tensor> Writes);

/// <summary>Bytes of some memory: of a region of the plan, of a tensor that is not placed in one, or of what a backend has beside them.</summary>
internal readonly record struct MemoryRange(object Memory, long Start, long End)
{
    public bool Overlaps(MemoryRange other) => Start < other.End && other.Start < End && Memory.Equals(other.Memory);

    public static MemoryRange Of(Tensor tensor, int elementSize)
    {
        long start = Math.Max(tensor.ArenaOffset, 0) + tensor.Start * elementSize;
        return new(tensor.ArenaOffset >= 0 ? tensor.Region : tensor.Owner, start, start + tensor.Length * elementSize);
    }
}

/// <summary>
/// Which works must wait for which, given an order that is right: a work waits for those before it that wrote what it reads or writes, or read what it writes.
/// What the planner put into memory that another tensor has left counts too, since it is the same bytes.
/// </summary>
internal static class WorkOrder
{
    /// <param name="reads">Of each work.</param>
    /// <param name="writes">Of each work.</param>
    /// <returns>For each work the numbers of those it waits for, without those that these wait for themselves.</returns>
    public static int[][] Of(IReadOnlyList<MemoryRange[]> reads, IReadOnlyList<MemoryRange[]> writes)
    {
        var before = new BitArray[reads.Count]; // all that a work waits for, directly or not
        var waits = new int[reads.Count][];
        for (int i = 0; i < waits.Length; i++)
        {
            var (reached, direct) = (new BitArray(waits.Length), new List<int>());
            for (int j = i - 1; j >= 0; j--)
            {
                if (reached[j] || !(Touch(writes[j], reads[i]) || Touch(writes[j], writes[i]) || Touch(reads[j], writes[i]))) continue;
                direct.Add(j);
                reached[j] = true;
                reached.Or(before[j]);
            }
            (before[i], waits[i]) = (reached, [.. direct]);
        }
        return waits;
    }

    private static bool Touch(MemoryRange[] some, MemoryRange[] others)
    {
        foreach (var range in some)
            foreach (var other in others)
                if (range.Overlaps(other)) return true;
        return false;
    }
}
