namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// A group's shared memory, which remembers for each byte who touched it last and finds what a schedule would hide: two threads
/// between the same two barriers, one of them writing (threads of one warp may also meet at bar.warp.sync); a read of what
/// nobody wrote; any touch of what an asynchronous copy may still write; what <see cref="PtxAsyncProxy"/> knows of products of warp groups.
/// </summary>
/// <param name="proxy">Null where the kernel has no such products.</param>
internal sealed class PtxShared(int size, int dynamicStart, string kernel, PtxAsyncProxy? proxy)
{
    private const int Nobody = -1, SeveralWarps = -2, SeveralOfWarp = -1000; // SeveralOfWarp - w: several threads of warp w

    private readonly byte[] _bytes = new byte[size];
    private readonly Access[] _accesses = new Access[size];
    private readonly int[] _warpEpochs = new int[32];
    private int _epoch;

    private struct Access
    {
        public int WriteEpoch, Writer, WriteWarpEpoch, WriteFences, ReadEpoch, Reader, ReadWarpEpoch;
        public bool Written, InFlight;
    }

    /// <summary>A new group begins: nothing is written.</summary>
    public void Clear()
    {
        Array.Clear(_accesses);
        Array.Clear(_warpEpochs);
        proxy?.Clear();
        Array.Fill(_bytes, (byte)0xFF); // NaN
        _epoch = 1;
    }

    public void Barrier() => _epoch++;

    public void WarpBarrier(int warp) => _warpEpochs[warp]++;

    public ReadOnlySpan<byte> Read(ulong address, int count, int alignment, int thread)
    {
        int start = Check(address, count, alignment);
        for (int i = start; i < start + count; i++)
        {
            ref var access = ref _accesses[i];
            if (access.InFlight) throw Fault("race", i, $"thread {thread} reads what an asynchronous copy may still write; wait for it first");
            if (!access.Written) throw Fault("uninitialised", i, $"thread {thread} reads what nobody wrote");
            if (access.WriteEpoch == _epoch && Conflict(access.Writer, access.WriteWarpEpoch, thread)) throw Fault("race", i, $"thread {thread} reads what thread {access.Writer} wrote, with no barrier between");
            int warp = thread / 32;
            bool first = access.ReadEpoch != _epoch;
            access.Reader = first || access.Reader == thread ? thread : WarpOf(access.Reader) == warp ? SeveralOfWarp - warp : SeveralWarps;
            (access.ReadEpoch, access.ReadWarpEpoch) = (_epoch, _warpEpochs[warp]);
        }
        return _bytes.AsSpan(start, count);
    }

    public void Write(ulong address, ReadOnlySpan<byte> values, int alignment, int thread)
    {
        int start = Check(address, values.Length, alignment);
        MarkWritten(start, values.Length, thread);
        values.CopyTo(_bytes.AsSpan(start));
    }

    /// <summary>An asynchronous copy was issued: it may write at any time from now until it is waited for.</summary>
    public int StartCopy(ulong address, int count, int thread)
    {
        int start = Check(address, count, count);
        MarkWritten(start, count, thread);
        for (int i = start; i < start + count; i++) _accesses[i].InFlight = true;
        return start;
    }

    /// <summary>Its thread has waited for it; other threads need a barrier besides.</summary>
    public void EndCopy(int start, ReadOnlySpan<byte> values, int thread)
    {
        for (int i = start; i < start + values.Length; i++) _accesses[i].InFlight = false;
        MarkWritten(start, values.Length, thread);
        values.CopyTo(_bytes.AsSpan(start));
    }

    /// <summary>What a thread has written, products will see: fence.proxy.async.</summary>
    public void Publish(int thread) => proxy?.Fence(thread, _epoch);

    /// <summary>The number of a warp group's new product.</summary>
    public int BeginProduct(int warpGroup) => proxy!.Begin(warpGroup);

    /// <summary>A product may read a chunk at any time from now until its end.</summary>
    public void BeginRead(int place, int warpGroup, int product)
    {
        Check((ulong)place, PtxAsyncProxy.Chunk, PtxAsyncProxy.Chunk);
        for (int i = place; i < place + PtxAsyncProxy.Chunk; i++)
        {
            ref var access = ref _accesses[i];
            if (access.InFlight) throw Fault("race", i, $"warp group {warpGroup} multiplies what an asynchronous copy may still write; wait for it first");
            if (!access.Written) throw Fault("uninitialised", i, $"warp group {warpGroup} multiplies what nobody wrote");
            if (access.WriteEpoch == _epoch) throw Fault("race", i, $"warp group {warpGroup} multiplies what thread {access.Writer} wrote, with no barrier between");
            if (proxy!.WhyHidden(access.Writer, access.WriteFences, _epoch) is { } why) throw Fault("race", i, $"warp group {warpGroup} multiplies {why}");
        }
        proxy!.Read(place, warpGroup, product);
    }

    /// <summary>What a product reads, when it does.</summary>
    public ReadOnlySpan<byte> Chunk(int place) => _bytes.AsSpan(place, PtxAsyncProxy.Chunk);

    /// <summary>The oldest product of a warp group has read all that it reads.</summary>
    public void EndProduct(int warpGroup) => proxy!.End(warpGroup, _epoch);

    private void MarkWritten(int start, int count, int thread)
    {
        int fences = proxy?.Fences(thread) ?? 0;
        for (int i = start; i < start + count; i++)
        {
            ref var access = ref _accesses[i];
            if (access.InFlight) throw Fault("race", i, $"thread {thread} writes where an asynchronous copy may still write");
            if (access.ReadEpoch == _epoch && Conflict(access.Reader, access.ReadWarpEpoch, thread)) throw Fault("race", i, $"thread {thread} writes what another thread reads, with no barrier between");
            if (access.WriteEpoch == _epoch && Conflict(access.Writer, access.WriteWarpEpoch, thread)) throw Fault("race", i, $"thread {thread} writes what thread {access.Writer} wrote, with no barrier between");
            if (proxy?.WhyRead(i, thread, _epoch) is { } why) throw Fault("race", i, $"thread {thread} writes {why}");
            (access.Written, access.WriteEpoch, access.Writer, access.WriteWarpEpoch, access.WriteFences) = (true, _epoch, thread, _warpEpochs[thread / 32], fences);
        }
    }

    /// <summary>Whether an access since the last barrier is another thread's, and no barrier of the warp lies between.</summary>
    private bool Conflict(int other, int otherWarpEpoch, int thread) =>
        other != thread && other != Nobody && (WarpOf(other) != thread / 32 || otherWarpEpoch == _warpEpochs[thread / 32]);

    private static int WarpOf(int accessor) => accessor >= 0 ? accessor / 32 : accessor <= SeveralOfWarp ? SeveralOfWarp - accessor : SeveralWarps;

    private int Check(ulong address, int count, int alignment)
    {
        if (address % (ulong)alignment != 0) throw new PtxFaultException($"misaligned: shared address {address} for {alignment} bytes");
        if (address > (ulong)_bytes.Length || address + (ulong)count > (ulong)_bytes.Length) throw new PtxFaultException($"out of bounds: {count} bytes at {address} of {_bytes.Length} bytes of shared memory");
        return (int)address;
    }

    private PtxFaultException Fault(string what, int place, string doing) =>
        new($"{what} in {kernel}: {doing} (shared byte {place}{(place >= dynamicStart ? $", dynamic byte {place - dynamicStart}" : "")})");
}
