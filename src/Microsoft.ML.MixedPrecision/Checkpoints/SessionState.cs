using System.Runtime.InteropServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Everything of a session that a training needs to go on as if it had never stopped: masters, optimizer state, gradients that are summed for the next update, running
/// statistics, the loss scale and all counters, and so the time of dropout masks and schedules. Bit for bit. Working weights are not among it: they are the masters, rounded.
/// To be written after an epoch's last pass, when the log is read.
/// </summary>
internal static class SessionState
{
    private const int Part = 1 << 20; // elements: 4 MB at a time on the host, however large a network is

    public static void Write(TrainingSession session, BinaryWriter to)
    {
        to.Write(MemoryMarshal.AsBytes<int>(session.ReadIntegers(session.Plan.Control.Counters)));
        var buffer = new float[Part];
        foreach (var tensor in Floats(session.Plan))
        {
            to.Write(tensor.Name);
            to.Write(tensor.Length);
            foreach (var (first, part) in Parts(tensor, buffer))
            {
                session.Read(Slice(tensor, first, part), part.Span);
                to.Write(MemoryMarshal.AsBytes(part.Span));
            }
        }
    }

    /// <exception cref="InvalidDataException">The tensors are not those of the session's plan.</exception>
    /// <exception cref="EndOfStreamException">There is less than was written.</exception>
    public static void Read(TrainingSession session, BinaryReader from)
    {
        var block = session.Plan.Parameters;
        var counters = new int[session.Plan.Control.Counters.Length];
        from.BaseStream.ReadExactly(MemoryMarshal.AsBytes(counters.AsSpan()));
        var buffer = new float[Part];
        foreach (var tensor in Floats(session.Plan))
        {
            string name = from.ReadString();
            long length = from.ReadInt64();
            if (name != tensor.Name || length != tensor.Length) throw new InvalidDataException($"expected {tensor.Name}[{tensor.Length}], got {name}[{length}]");
            foreach (var (first, part) in Parts(tensor, buffer))
            {
                from.BaseStream.ReadExactly(MemoryMarshal.AsBytes(part.Span));
                session.Write(Slice(tensor, first, part), part.Span);
                if (tensor == block.Masters && tensor != block.Weights) session.Write(Slice(block.Weights, first, part), part.Span);
            }
        }
        session.WriteIntegers(session.Plan.Control.Counters, counters);
    }

    private static IEnumerable<Tensor> Floats(ExecutionPlan plan)
    {
        var block = plan.Parameters;
        yield return block.Masters;
        foreach (var state in block.State) yield return state;
        if (block.Accumulated is { } sum) yield return sum;
        foreach (var buffer in plan.Buffers) yield return buffer.Values;
        yield return plan.Control.Scales;
    }

    private static IEnumerable<(long First, Memory<float> Part)> Parts(Tensor tensor, float[] buffer)
    {
        for (long first = 0; first < tensor.Length; first += Part) yield return (first, buffer.AsMemory(0, (int)Math.Min(Part, tensor.Length - first)));
    }

    private static Tensor Slice(Tensor tensor, long first, Memory<float> part) => tensor.Slice(tensor.Name, first, part.Length);
}
