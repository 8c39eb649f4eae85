using System.Text;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The file from which a training goes on behind its last finished epoch. It is replaced as a whole: a kill in the middle of a write leaves the one before.
/// </summary>
internal sealed class CheckpointFile
{
    private const uint Magic = 0x4B43504D; // "MPCK", at the beginning and at the end
    private const int Version = 1;

    private readonly string _path, _temporary;

    /// <exception cref="InvalidOperationException">Its folder is not there, or the file is not a checkpoint.</exception>
    public CheckpointFile(string path)
    {
        _path = Path.GetFullPath(path);
        _temporary = _path + ".tmp";
        if (!Directory.Exists(Path.GetDirectoryName(_path)))
            throw new InvalidOperationException($"CheckpointPath: expected a file in a folder that exists, got {_path}; create the folder.");
        if (File.Exists(_path)) Seed = Opened(reader => ReadHeader(reader).Seed);
    }

    /// <summary>The seed of the training that wrote the file; null where there is none yet.</summary>
    public uint? Seed { get; private set; }

    public override string ToString() => _path;

    /// <summary>Writes what a run and its session hold after an epoch.</summary>
    /// <exception cref="IOException">It cannot be written; the one before is still there.</exception>
    /// <exception cref="UnauthorizedAccessException">The same.</exception>
    public void Write(IReadOnlyList<(string What, string Value)> identity, uint seed, RunState run, TrainingSession session)
    {
        using (var stream = new FileStream(_temporary, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 16))
        using (var writer = new BinaryWriter(stream, Encoding.UTF8))
        {
            writer.Write(Magic);
            writer.Write(Version);
            writer.Write(seed);
            writer.Write(identity.Count);
            foreach (var (what, value) in identity)
            {
                writer.Write(what);
                writer.Write(value);
            }
            run.Write(writer, session.Plan);
            SessionState.Write(session, writer);
            writer.Write(Magic);
            writer.Flush();
            stream.Flush(flushToDisk: true);
        }
        File.Move(_temporary, _path, overwrite: true);
        Seed = seed;
    }

    /// <summary>Puts what the file holds into a session.</summary>
    /// <returns>The run's part; null where there is no file.</returns>
    /// <exception cref="InvalidOperationException">It is of another training, or broken; the message names what differs.</exception>
    public RunState? Read(IReadOnlyList<(string What, string Value)> identity, TrainingSession session) => Seed is null ? null : Opened(reader =>
    {
        ExpectSame(identity, ReadHeader(reader).Identity);
        var run = RunState.Read(reader, session.Plan);
        SessionState.Read(session, reader);
        if (reader.ReadUInt32() != Magic) throw new InvalidDataException("expected its end, got more");
        return run;
    });

    /// <summary>The training it was for is over.</summary>
    /// <exception cref="IOException">It cannot be deleted.</exception>
    /// <exception cref="UnauthorizedAccessException">The same.</exception>
    public void Delete()
    {
        File.Delete(_path);
        if (File.Exists(_temporary)) File.Delete(_temporary); // of a run that was killed as it wrote
    }

    private T Opened<T>(Func<BinaryReader, T> read)
    {
        try
        {
            using var reader = new BinaryReader(new FileStream(_path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16), Encoding.UTF8);
            return read(reader);
        }
        catch (Exception e) when (e is InvalidDataException or IOException or FormatException or ArgumentException)
        {
            throw new InvalidOperationException($"CheckpointPath: expected a checkpoint that this version of the library wrote, got {_path} ({e.Message.TrimEnd('.')}); name another file, or delete this one to train from the start.", e);
        }
    }

    private static (uint Seed, IReadOnlyList<(string What, string Value)> Identity) ReadHeader(BinaryReader reader)
    {
        if (reader.ReadUInt32() != Magic) throw new InvalidDataException("it begins like another kind of file");
        int version = reader.ReadInt32();
        if (version != Version) throw new InvalidDataException($"expected version {Version}, got {version}");
        uint seed = reader.ReadUInt32();
        var identity = new List<(string, string)>();
        for (int count = reader.ReadInt32(); count > 0; count--) identity.Add((reader.ReadString(), reader.ReadString()));
        return (seed, identity);
    }

    private void ExpectSame(IReadOnlyList<(string What, string Value)> here, IReadOnlyList<(string What, string Value)> there)
    {
        var found = there.ToDictionary(pair => pair.What, pair => pair.Value);
        foreach (var (what, value) in here)
        {
            if (found.Remove(what, out string? old) && old == value) continue;
            throw Another(what, value, old ?? "nothing");
        }
        if (found.Count > 0) throw Another(found.First().Key, "nothing", found.First().Value);
    }

    private InvalidOperationException Another(string what, string here, string there) =>
        new($"CheckpointPath: {_path} is of another training: of {what} it expects {there}, got {here}. Train with what it was written with, or delete the file to train from the start.");
}
