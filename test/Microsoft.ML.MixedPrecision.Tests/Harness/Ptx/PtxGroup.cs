using ILGPU;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// A group of threads. Warps run one after the other, each as far as the next barrier, which is the schedule under which a
/// missing barrier hurts most; what it would hide, <see cref="PtxShared"/> finds.
/// </summary>
internal sealed class PtxGroup
{
    private readonly PtxProgram _program;
    private readonly PtxWarp[] _warps;
    private readonly CopyQueue[] _copies;

    public PtxGroup(PtxProgram program, PtxMemory memory, PtxArguments arguments, Index3D grid, Index3D block, int dynamicShared)
    {
        _program = program;
        Memory = memory;
        Arguments = arguments;
        Shared = new(program.DynamicStart + dynamicShared, program.DynamicStart, program.Name);
        _warps = new PtxWarp[(block.Size + 31) / 32];
        _copies = [.. Enumerable.Range(0, block.Size).Select(_ => new CopyQueue())];
        for (int w = 0; w < _warps.Length; w++)
        {
            _warps[w] = new(this, program, w, Math.Min(32, block.Size - w * 32));
            PtxSpecial.SetThreads(_warps[w], program, grid, block, dynamicShared);
        }
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
        while (true)
        {
            int waiting = 0;
            foreach (var warp in _warps)
            {
                if (warp.RunToBarrier()) waiting++;
            }
            if (waiting == 0) return;
            var first = _warps.First(w => w.AtBarrier is not null).AtBarrier;
            if (_warps.FirstOrDefault(w => w.AtBarrier != first) is { } other)
                throw new PtxFaultException($"divergent barrier: some warps of a group wait at '{first!.Text}', and warp {other.Index} {(other.AtBarrier is null ? "has ended" : "waits at another")}");
            Shared.Barrier();
            Memory.Races.Barrier();
            foreach (var warp in _warps) warp.PassBarrier();
        }
    }

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
