namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// Who touched each byte of global memory during a launch. Groups run in any order, and only a barrier of a group orders its
/// threads: two threads that touch a byte, one of them writing, with no barrier of their common group between, are a race.
/// </summary>
internal sealed class PtxGlobalRaces
{
    private const int Page = 4096, Several = -1;

    private readonly Dictionary<ulong, Access[]> _pages = [];
    private ulong _lastPage = ulong.MaxValue;
    private Access[] _last = [];
    private int _group, _epoch = 1;

    private struct Access
    {
        /// <summary>Epochs count from 1, so that 0 says that there was none.</summary>
        public int WriteEpoch, WriteGroup, Writer, ReadEpoch, ReadGroup, Reader;
    }

    /// <summary>The bytes that the launch read, or wrote: addresses from the first to the one after the last of each stretch, in no order.</summary>
    public IEnumerable<(ulong Start, ulong End)> Touched(bool written)
    {
        foreach (var (page, accesses) in _pages)
        {
            for (int at = 0; at < Page; at++)
            {
                int start = at;
                while (at < Page && (written ? accesses[at].WriteEpoch : accesses[at].ReadEpoch) != 0) at++;
                if (at > start) yield return (page * Page + (ulong)start, page * Page + (ulong)at);
            }
        }
    }

    public void NextGroup() => (_group, _epoch) = (_group + 1, 1);

    public void Barrier() => _epoch++;

    public void Read(ulong address, int size, int thread)
    {
        for (ulong at = address; at < address + (ulong)size; at++)
        {
            ref var access = ref Of(at);
            if (Conflict(access.WriteEpoch, access.WriteGroup, access.Writer, thread)) throw Fault(at, thread, "reads", access);
            access.Reader = access.ReadEpoch == 0 || (access.ReadGroup == _group && (access.Reader == thread || access.ReadEpoch != _epoch)) ? thread : Several;
            access.ReadGroup = access.ReadEpoch == 0 || access.ReadGroup == _group ? _group : Several;
            access.ReadEpoch = _epoch;
        }
    }

    public void Write(ulong address, int size, int thread)
    {
        for (ulong at = address; at < address + (ulong)size; at++)
        {
            ref var access = ref Of(at);
            if (Conflict(access.WriteEpoch, access.WriteGroup, access.Writer, thread)) throw Fault(at, thread, "writes", access);
            if (Conflict(access.ReadEpoch, access.ReadGroup, access.Reader, thread)) throw new PtxFaultException($"race on global memory: thread {thread} writes {at:X}, which another thread reads, with no barrier between");
            (access.WriteEpoch, access.WriteGroup, access.Writer) = (_epoch, _group, thread);
        }
    }

    private static PtxFaultException Fault(ulong address, int thread, string does, in Access access) =>
        new($"race on global memory: thread {thread} {does} {address:X}, which thread {access.Writer} of the launch's group {access.WriteGroup - 1} wrote, with no barrier between");

    private bool Conflict(int epoch, int group, int other, int thread) => epoch != 0 && (group != _group || (epoch == _epoch && other != thread));

    private ref Access Of(ulong address)
    {
        ulong page = address / Page;
        if (page != _lastPage)
        {
            if (!_pages.TryGetValue(page, out var accesses)) _pages[page] = accesses = new Access[Page];
            (_lastPage, _last) = (page, accesses);
        }
        return ref _last[address % Page];
    }
}
