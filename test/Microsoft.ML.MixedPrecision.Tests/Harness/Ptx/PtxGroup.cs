using ILGPU;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// A group of threads. Warps run one after the other, each as far as the next barrier, which is the schedule under which a
/// missing barrier hurts most; what it would hide, <see cref="PtxShared"/> finds. Four that multiply together meet on the way.
/// </summary>
internal sealed class PtxGroup
{
    private readonly PtxProgram _program;
    private readonly PtxWarp[] _warps;
    private readonly PtxWarpGroup[] _warpGroups;
    private readonly CopyQueue[] _copies;

    public PtxGroup(PtxProgram program, PtxMemory memory, PtxArguments arguments, Index3D grid, Index3D block, int dynamicShared)
    {
        _program = program;
        Memory = memory;
        Arguments = arguments;
        int shared = program.DynamicStart + dynamicShared;
        if (shared > program.MostShared) throw new PtxFaultException($"{program.Name} takes {shared} bytes of shared memory, and a group has at most {program.MostShared}");
        Shared = new(shared, program.DynamicStart, program.Name, program.HasWarpGroups ? new(block.Size, shared) : null);
        _warps = new PtxWarp[(block.Size + 31) / 32];
        _copies = [.. Enumerable.Range(0, block.Size).Select(_ => new CopyQueue())];
        PtxAccumulators? accumulators = null;
        for (int w = 0; w < _warps.Length; w++)
        {
            if (w % PtxWarpGroup.Warps == 0) accumulators = program.HasWarpGroups ? new(program) : null;
            _warps[w] = new(this, program, w, Math.Min(32, block.Size - w * 32), accumulators);
            PtxSpecial.SetThreads(_warps[w], program, grid, block, dynamicShared);
        }
        _warpGroups = [.. _warps.Chunk(PtxWarpGroup.Warps).Select(four => new PtxWarpGroup(this, four))];
    }

    public PtxMemory Memory { get; }

    public PtxShared Shared { get; }

    public PtxArguments Arguments { get; }

    /// <summary>Instructions that warps have carried out.</summary>
    public long Steps => _warps.Sum(w => w.Steps);

    public void Run(Index3D group)
    {
        Shared.Clear();
        Memory.Races.NextGroup();
        foreach (var copies in _copies) copies.Clear();
        foreach (var warp in _warps)
        {
            PtxSpecial.SetGroup(warp, _program, group);
            warp.Start();
        }
        foreach (var four in _warpGroups) four.Start();
        while (true)
        {
            foreach (var four in _warpGroups) four.Run();
            if (Array.Find(_warps, w => w.WaitsAt is not null) is not { WaitsAt: { } first }) return;
            if (Array.Find(_warps, w => w.WaitsAt != first) is { } other)
                throw new PtxFaultException($"divergent barrier: some warps of a group wait at '{first.Text}', and warp {other.Index} {(other.WaitsAt is null ? "has ended" : "waits at another")}");
            Shared.Barrier();
            Memory.Races.Barrier();
            foreach (var warp in _warps) warp.Pass();
        }
    }

    public PtxWarpGroup WarpGroupOf(PtxWarp warp) => _warpGroups[warp.Index / PtxWarpGroup.Warps];

    public void StartCopy(int thread, ulong target, ulong source, int size, int valid)
    {
        if (valid < 0 || valid > size) throw new PtxFaultException($"an asynchronous copy of {valid} of {size} bytes");
        Memory.Read(source, valid, size, thread);
        _copies[thread].Open.Add(new(Shared.StartCopy(target, size, thread), source, size, valid));
    }

    public void CommitCopies(int thread) => _copies[thread].Commit();

    /// <summary>The thread waits until at most so many of its committed groups of copies are under way; -1 for all, committed or not.</summary>
    public void WaitForCopies(int thread, int groups)
    {
        var queue = _copies[thread];
        if (groups < 0) queue.Commit();
        Span<byte> bytes = stackalloc byte[16];
        while (queue.Committed.Count > Math.Max(groups, 0))
        {
            foreach (var copy in queue.Committed.Dequeue())
            {
                bytes.Clear(); // zeros beyond the valid bytes
                Memory.Read(copy.Source, copy.Valid, 1, thread).CopyTo(bytes);
                Shared.EndCopy(copy.Target, bytes[..copy.Size], thread);
            }
        }
    }

    private readonly record struct Copy(int Target, ulong Source, int Size, int Valid);

    private sealed class CopyQueue
    {
        public List<Copy> Open { get; private set; } = [];

        public Queue<List<Copy>> Committed { get; } = new();

        public void Commit()
        {
            Committed.Enqueue(Open);
            Open = [];
        }

        public void Clear()
        {
            Open.Clear();
            Committed.Clear();
        }
    }
}
