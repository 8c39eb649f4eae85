using System.Runtime.InteropServices;
using System.Text;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Everything that a training needs to go on after an update as if it had never stopped: weights, masters, optimizer state,
/// running statistics, the loss scale and all counters, and so the time of dropout masks and schedules. Bit for bit.
/// </summary>
internal sealed class Checkpoint
{
    private const uint Magic = 0x4B43504D; // "MPCK"
    private const int Version = 1;

    // FP32 holds a half exactly, so that one form serves both precisions.
    private readonly List<(string Name, float[] Values)> _floats = [];
    private readonly int[] _counters;

    private Checkpoint(int[] counters) => _counters = counters;

    /// <summary>What a session holds now. To be taken after an update, not between micro-steps.</summary>
    public static Checkpoint From(TrainingSession session)
    {
        var checkpoint = new Checkpoint(session.ReadIntegers(session.Plan.Control.Counters));
        foreach (var tensor in Floats(session.Plan)) checkpoint._floats.Add((tensor.Name, session.Read(tensor)));
        return checkpoint;
    }

    /// <summary>Puts it into a session of the same network, optimizer and precision.</summary>
    /// <exception cref="InvalidOperationException">The session's tensors are others.</exception>
    public void To(TrainingSession session)
    {
        var tensors = Floats(session.Plan).ToArray();
        string here = Describe(tensors.Select(t => (t.Name, (int)t.Length))), there = Describe(_floats.Select(f => (f.Name, f.Values.Length)));
        if (here != there)
            throw new InvalidOperationException($"Checkpoint: expected the tensors of this training, {here}; got {there}. Resume with the network, optimizer and precision that it was made with.");
        foreach (var (tensor, (_, values)) in tensors.Zip(_floats)) session.Write(tensor, values);
        session.WriteIntegers(session.Plan.Control.Counters, _counters);
    }

    public void Save(Stream stream)
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(Magic);
        writer.Write(Version);
        writer.Write(_counters.Length);
        writer.Write(MemoryMarshal.AsBytes(_counters.AsSpan()));
        writer.Write(_floats.Count);
        foreach (var (name, values) in _floats)
        {
            writer.Write(name);
            writer.Write(values.Length);
            writer.Write(MemoryMarshal.AsBytes(values.AsSpan()));
        }
    }

    /// <exception cref="InvalidDataException">The stream holds something else, or ends too early.</exception>
    public static Checkpoint Load(Stream stream)
    {
        using var reader = new BinaryReader(stream, Encoding.UTF8, leaveOpen: true);
        try
        {
            if (reader.ReadUInt32() != Magic) throw new InvalidDataException("Checkpoint: expected a file written by this library, got another one.");
            int version = reader.ReadInt32();
            if (version != Version) throw new InvalidDataException($"Checkpoint: expected version {Version}, got {version}; read it with the version of the library that wrote it.");
            var checkpoint = new Checkpoint(new int[reader.ReadInt32()]);
            reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(checkpoint._counters.AsSpan()));
            for (int count = reader.ReadInt32(); count > 0; count--)
            {
                string name = reader.ReadString();
                var values = new float[reader.ReadInt32()];
                reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
                checkpoint._floats.Add((name, values));
            }
            return checkpoint;
        }
        catch (EndOfStreamException e)
        {
            throw new InvalidDataException("Checkpoint: the file ends too early; it was not written to its end.", e);
        }
    }

    private static IEnumerable<Tensor> Floats(ExecutionPlan plan)
    {
        var block = plan.Parameters;
        yield return block.Weights;
        if (block.Masters != block.Weights) yield return block.Masters;
        foreach (var state in block.State) yield return state;
        foreach (var buffer in plan.Buffers) yield return buffer.Values;
        yield return plan.Control.Scales;
    }

    private static string Describe(IEnumerable<(string Name, int Length)> tensors) => string.Join(", ", tensors.Select(t => $"{t.Name}[{t.Length}]"));
}
