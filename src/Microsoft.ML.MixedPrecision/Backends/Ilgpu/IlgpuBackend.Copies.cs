using System.Runtime.InteropServices;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class IlgpuBackend
{
    private long _waits; // how often the host has waited for the stream; a buffer written before the last time is free again

    /// <summary>
    /// Host memory for one tensor: a ring of copies of its exact length (ILGPU's OpenCL copies take the length from the
    /// host's buffer). Filling one whose last copy may still run waits first, so a ring of four waits at most every fourth time.
    /// </summary>
    private sealed class HostStaging(int slots) : IDisposable
    {
        private readonly (CPUMemoryBuffer? Buffer, long Waits)[] _slots = new (CPUMemoryBuffer?, long)[slots];
        private int _next;

        public CPUMemoryBuffer Take(IlgpuBackend backend, long bytes)
        {
            ref var slot = ref _slots[_next];
            _next = _next + 1 == _slots.Length ? 0 : _next + 1;
            if (slot.Buffer is null) slot.Buffer = backend._device.CreateHostBuffer(bytes);
            else if (slot.Waits == backend._waits) backend.Synchronize();
            slot.Waits = backend._waits;
            return slot.Buffer;
        }

        public void Dispose()
        {
            foreach (var (buffer, _) in _slots) buffer?.Dispose();
        }
    }

    /// <summary>Copies of a tensor that may be under way at once: a batch is written while the one before it is still copied.</summary>
    private const int StagingSlots = 4;

    public override void Upload(Tensor tensor, ReadOnlySpan<float> values)
    {
        Expect(tensor, values.Length);
        if (values.Length == 0) return;
        var buffer = Staging(tensor);
        fixed (float* from = values)
        {
            if (SizeOf(tensor.Element) == sizeof(ushort)) CpuHalfStorage.Store(from, (System.Half*)buffer.NativePtr, values.Length);
            else values.CopyTo(new Span<float>((void*)buffer.NativePtr, values.Length));
        }
        CopyIn(tensor, buffer);
    }

    public override void Upload(Tensor tensor, ReadOnlySpan<int> values)
    {
        Expect(tensor, values.Length);
        if (values.Length == 0) return;
        var buffer = Staging(tensor);
        values.CopyTo(new Span<int>((void*)buffer.NativePtr, values.Length));
        CopyIn(tensor, buffer);
    }

    public override void Download(Tensor tensor, Span<float> values)
    {
        Expect(tensor, values.Length);
        if (values.Length == 0) return;
        var buffer = CopyOut(tensor);
        fixed (float* to = values)
        {
            if (SizeOf(tensor.Element) == sizeof(ushort)) CpuHalfStorage.Load((System.Half*)buffer.NativePtr, to, values.Length);
            else new Span<float>((void*)buffer.NativePtr, values.Length).CopyTo(values);
        }
    }

    public override void Download(Tensor tensor, Span<int> values)
    {
        Expect(tensor, values.Length);
        if (values.Length == 0) return;
        new Span<int>((void*)CopyOut(tensor).NativePtr, values.Length).CopyTo(values);
    }

    public override void Synchronize()
    {
        _stream.Synchronize();
        _waits++;
    }

    public override void Dispose()
    {
        _stream.Synchronize();
        foreach (var staging in _staging.Values) staging.Dispose();
        foreach (var arena in _arenas.Values) arena.Dispose();
        _partialSums?.Dispose();
        _partialSums = null;
        _staging.Clear();
        _arenas.Clear();
        _stream.Dispose();
    }

    private CPUMemoryBuffer Staging(Tensor tensor)
    {
        ref var staging = ref CollectionsMarshal.GetValueRefOrAddDefault(_staging, tensor, out _);
        staging ??= new HostStaging(tensor.Region == Region.Staging ? StagingSlots : 1);
        return staging.Take(this, tensor.Length * SizeOf(tensor.Element));
    }

    private void CopyIn(Tensor tensor, CPUMemoryBuffer from) => Bytes(tensor).CopyFrom(_stream, from.AsRawArrayView());

    private CPUMemoryBuffer CopyOut(Tensor tensor)
    {
        var buffer = Staging(tensor);
        Bytes(tensor).CopyTo(_stream, buffer.AsRawArrayView());
        Synchronize();
        return buffer;
    }

    private ILGPU.ArrayView<byte> Bytes(Tensor tensor)
    {
        ILGPU.ArrayView<byte> arena = _arenas[tensor.Region].View;
        int size = SizeOf(tensor.Element);
        return arena.SubView(tensor.ArenaOffset + tensor.Start * size, tensor.Length * size);
    }

    private static void Expect(Tensor tensor, int length)
    {
        if (tensor.Length != length) throw new ArgumentException($"{tensor} has {tensor.Length} elements; the host's buffer has {length}.");
    }
}
