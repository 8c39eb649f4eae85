namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// Runs recorded steps as a GPU may that keeps only the order of <see cref="Backend.WaitsOf"/>: each time the next one is any of those that wait for nothing any more.
/// </summary>
/// <param name="waits">What is kept of the order: for tests of what happens where it is too little.</param>
internal sealed class ReorderedBackend(Backend inner, int seed, Func<int[][], int[][]>? waits = null) : WrappedBackend(inner)
{
    private readonly Random _random = new(seed);

    /// <summary>Works that ran before one that was recorded before them.</summary>
    public int Overtaken { get; private set; }

    public override Action Record(IReadOnlyList<Work> steps)
    {
        int[][] all = WaitsOf(steps), kept = waits?.Invoke(all) ?? all;
        return () =>
        {
            var done = new bool[steps.Count];
            for (int ran = 0; ran < steps.Count; ran++)
            {
                int[] ready = [.. Enumerable.Range(0, steps.Count).Where(i => !done[i] && kept[i].All(j => done[j]))];
                int next = ready[_random.Next(ready.Length)];
                if (next != ready[0]) Overtaken++;
                done[next] = true;
                steps[next].Run();
            }
        };
    }
}
