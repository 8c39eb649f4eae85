using System.Runtime.InteropServices;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>A kernel's argument that lies in global memory.</summary>
internal interface IPtxView
{
    ulong Address { get; }

    /// <summary>In elements.</summary>
    long Length { get; }

    long Bytes { get; }
}

/// <summary>Global memory for kernels that are run by hand: starts at a multiple of 256 bytes, as a driver's allocation does.</summary>
internal sealed unsafe class PtxBuffer<T> : IPtxView where T : unmanaged
{
    private const int Alignment = 256;

    private readonly byte[] _bytes; // pinned

    public PtxBuffer(int length)
    {
        _bytes = GC.AllocateArray<byte>(length * sizeof(T) + Alignment, pinned: true);
        Address = ((ulong)Marshal.UnsafeAddrOfPinnedArrayElement(_bytes, 0) + Alignment - 1) / Alignment * Alignment;
        Length = length;
    }

    public PtxBuffer(ReadOnlySpan<T> values) : this(values.Length) => values.CopyTo(Values);

    public ulong Address { get; }

    public long Length { get; }

    public long Bytes => Length * sizeof(T);

    public Span<T> Values => new((void*)Address, (int)Length);
}

/// <summary>
/// The global memory that a launch may touch: the bytes of the views among its arguments, and no other. It is the process's own
/// memory, so addresses and alignments are real.
/// </summary>
internal sealed unsafe class PtxMemory
{
    /// <summary>Where shared memory appears among generic addresses; no process has memory there.</summary>
    public const ulong SharedWindow = 0x7F00_0000_0000_0000;

    private readonly List<(ulong Start, ulong End)> _views = [];
    private int _last;

    public PtxGlobalRaces Races { get; } = new();

    public void Allow(ulong address, long bytes)
    {
        if (bytes > 0) _views.Add((address, address + (ulong)bytes));
    }

    public ReadOnlySpan<byte> Read(ulong address, int size, int alignment, int thread)
    {
        var bytes = At(address, size, alignment);
        Races.Read(address, size, thread);
        return bytes;
    }

    public void Write(ulong address, ReadOnlySpan<byte> values, int alignment, int thread)
    {
        var bytes = At(address, values.Length, alignment);
        Races.Write(address, values.Length, thread);
        values.CopyTo(bytes);
    }

    /// <summary>The bytes at an address, or a fault where they are not a view's or not aligned.</summary>
    private Span<byte> At(ulong address, int size, int alignment)
    {
        if (address % (ulong)alignment != 0) throw new PtxFaultException($"misaligned: address {address:X} for {alignment} bytes");
        if (size == 0) return [];
        for (int i = 0; i < _views.Count; i++)
        {
            int at = (_last + i) % _views.Count;
            var (start, end) = _views[at];
            if (address < start || address + (ulong)size > end) continue;
            _last = at;
            return new((void*)address, size);
        }
        throw new PtxFaultException($"out of bounds: {size} bytes at {address:X} are in no view of the arguments{Nearest(address)}");
    }

    private string Nearest(ulong address)
    {
        if (_views.Count == 0) return "";
        var (start, end) = _views.MinBy(view => address < view.Start ? view.Start - address : address - Math.Min(view.End, address));
        return address < start ? $" ({start - address} bytes before the nearest)" : $" ({(long)(address - start)} bytes into one of {end - start})";
    }
}
