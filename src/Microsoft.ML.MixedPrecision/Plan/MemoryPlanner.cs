namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Gives every tensor a place: lifetimes from the steps that touch it, then offsets, largest first, each at the lowest
/// 256-byte offset where no tensor alive at the same time lies.
/// </summary>
internal static class MemoryPlanner
{
    public const int Alignment = 256;

    /// <summary>From the first to the last step that touches a tensor, both included.</summary>
    public readonly record struct Lifetime(int First, int Last)
    {
        public bool Overlaps(Lifetime other) => First <= other.Last && other.First <= Last;
    }

    /// <summary>Lifetimes within one list of steps, of the tensors that own memory.</summary>
    public static Dictionary<Tensor, Lifetime> Lifetimes(IReadOnlyList<PlanStep> steps)
    {
        var lives = new Dictionary<Tensor, Lifetime>();
        for (int i = 0; i < steps.Count; i++)
        {
            foreach (var tensor in steps[i].Kernel.Reads.Concat(steps[i].Kernel.Writes))
                lives[tensor.Owner] = lives.TryGetValue(tensor.Owner, out var life) ? life with { Last = i } : new Lifetime(i, i);
        }
        return lives;
    }

    /// <summary>Places tensors whose lifetimes are known and returns the bytes that they take together.</summary>
    public static long Place(IReadOnlyDictionary<Tensor, Lifetime> lives, Func<Tensor, long> sizeOf)
    {
        var placed = new List<(long Start, long End, Lifetime Life)>();
        long total = 0;
        // Ties by first use, then by name: the layout is a function of the plan alone.
        foreach (var (tensor, life) in lives.OrderByDescending(l => sizeOf(l.Key)).ThenBy(l => l.Value.First).ThenBy(l => l.Key.Name, StringComparer.Ordinal))
        {
            long size = Align(sizeOf(tensor)), start = 0;
            foreach (var other in placed.Where(p => p.Life.Overlaps(life)).OrderBy(p => p.Start))
            {
                if (start + size <= other.Start) break;
                start = Math.Max(start, other.End);
            }
            tensor.ArenaOffset = start;
            placed.Add((start, start + size, life));
            total = Math.Max(total, start + size);
        }
        return total;
    }

    /// <summary>Places tensors one after the other.</summary>
    public static long PlaceInOrder(IEnumerable<Tensor> tensors, Func<Tensor, long> sizeOf)
    {
        long total = 0;
        foreach (var tensor in tensors)
        {
            tensor.ArenaOffset = total;
            total += Align(sizeOf(tensor));
        }
        return total;
    }

    private static long Align(long size) => (size + Alignment - 1) / Alignment * Alignment;
}
