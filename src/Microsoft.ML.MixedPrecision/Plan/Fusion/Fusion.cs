namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Joins neighbours of a plan: where a kernel writes a tensor that only the next step reads, and that one works element by
/// element, the first does both and the tensor between them is never written. What is bound by memory gets shorter, and the
/// plan smaller; no bit changes. An op knows nothing of it: its kernel says what it can do as it stores (<see cref="Kernel.Then"/>).
/// <para>
/// And makes a product known to the <see cref="ColumnReader"/> of what it writes. On a GPU sums that are taken as a tile is stored are added in
/// another order than those of a pass over memory; which it is, depends on the plan and the device alone. On the CPU the order is the same.
/// </para>
/// </summary>
internal static class Fusion
{
    /// <param name="steps">One section, in order.</param>
    /// <param name="keep">A tensor that is read after the section.</param>
    public static List<PlanStep> Join(IReadOnlyList<PlanStep> steps, Tensor? keep)
    {
        var uses = steps.SelectMany(s => s.Kernel.Reads.Concat(s.Kernel.Writes)).CountBy(t => t.Owner).ToDictionary();
        var joined = new List<PlanStep>();
        foreach (var step in steps)
        {
            if (joined.Count > 0 && step.Kernel is ElementKernel { CommutesWithRounding: true } next && IsBetween(next.From) && joined[^1].Kernel.Then(next) is { } both)
                joined[^1] = joined[^1] with { Kernel = both };
            else
                joined.Add(step);
        }
        for (int i = 0; i < joined.Count; i++)
            if (joined[i].Kernel is ColumnReader reader) Introduce(reader, joined, i);
        return joined;

        // Once written, once read, whole, and then forgotten.
        bool IsBetween(Tensor tensor) =>
            tensor.Region == Region.Activations && tensor.Owner == tensor && uses[tensor] == 2 && joined[^1].Kernel.Writes.Contains(tensor) && tensor != keep;
    }

    /// <summary>Makes the product that is the only writer of what a reader reads, and the reader, known to each other.</summary>
    private static void Introduce(ColumnReader reader, List<PlanStep> steps, int end)
    {
        int[] writers = [.. Enumerable.Range(0, end).Where(i => steps[i].Kernel.Writes.Any(t => t.Owner == reader.From.Owner))];
        if (writers is not [int writer] || steps[writer].Kernel is not MatrixProduct product || product.ReadBy(reader) is not { } summing) return;
        reader.Producer = summing;
        steps[writer] = steps[writer] with { Kernel = summing };
    }
}
