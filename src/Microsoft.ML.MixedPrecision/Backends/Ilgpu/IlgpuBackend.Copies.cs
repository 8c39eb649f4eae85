using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class IlgpuBackend
{
    private AcceleratorStream? _copyStream;
    private bool _lost;
    private long _streamWaits; // a buffer filled before the last time that the host waited for the stream is free again

    /// <summary>
    /// How often the host has waited for the device: for the stream, or for a copy that was still under way. Every blocking copy waits
    /// for the stream, so it is counted too.
    /// </summary>
    public long HostWaits { get; private set; }

    /// <summary>
    /// Host memory for copies of one tensor: a ring of buffers of its exact length (ILGPU's OpenCL copies take the length from the host's
    /// buffer). A buffer is filled again only when its last copy is done: CUDA tells by an event; elsewhere the host waits for
    /// the stream, at most every fourth time.
    /// </summary>
    private sealed class HostStaging(IlgpuBackend backend, long bytes, int slots) : IDisposable
    {
        private readonly Slot[] _slots = new Slot[slots];
        private int _last = -1;

        private struct Slot
        {
            public CPUMemoryBuffer? Buffer;
            public long Waits;
            public nint CopyDone; // a CUDA event
            public nint Uploaded; // another, of a copy on the copy stream
            public MemoryBuffer1D<byte, Stride1D.Dense>? OnDevice;
        }

        /// <summary>
        /// Memory on the device for the buffer taken last, where the copy is worth a stream of its own: the batch crosses the bus while the
        /// device computes, and only a copy within the device waits for its turn. Null where the stream itself copies from the host.
        /// </summary>
        public ArrayView<byte>? OnDevice(out nint uploaded)
        {
            ref var slot = ref _slots[_last];
            uploaded = slot.Uploaded;
            if (slots == 1 || bytes < LeastBytesOfCopyStream || backend._stream is not CudaStream) return null;
            if (slot.OnDevice is null)
            {
                if (backend._device.FreeBytes < slots * bytes) return null; // a plan that just fits goes on without
                slot.OnDevice = backend.AllocateBytes(bytes); // given back with the backend
                CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.CreateEvent(out slot.Uploaded, CudaEventFlags.CU_EVENT_DISABLE_TIMING));
                uploaded = slot.Uploaded;
            }
            return slot.OnDevice.View;
        }

        /// <summary>A buffer that no copy reads or writes.</summary>
        public CPUMemoryBuffer Take()
        {
            _last = _last + 1 == _slots.Length ? 0 : _last + 1;
            ref var slot = ref _slots[_last];
            if (slot.Buffer is null)
            {
                slot.Buffer = backend._device.CreateHostBuffer(bytes);
                if (backend._stream is CudaStream) CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.CreateEvent(out slot.CopyDone, CudaEventFlags.CU_EVENT_DISABLE_TIMING));
            }
            else if (slot.CopyDone != 0) backend.WaitFor(slot.CopyDone);
            else if (slot.Waits == backend._streamWaits) backend.Synchronize();
            return slot.Buffer;
        }

        /// <summary>The copy of the buffer taken last is on the stream.</summary>
        public void Copying()
        {
            ref var slot = ref _slots[_last];
            slot.Waits = backend._streamWaits;
            if (backend._stream is CudaStream stream) CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.RecordEvent(slot.CopyDone, stream.StreamPtr));
        }

        public void Dispose()
        {
            foreach (var slot in _slots)
            {
                slot.Buffer?.Dispose();
                foreach (nint used in (ReadOnlySpan<nint>)[slot.CopyDone, slot.Uploaded])
                    if (used != 0) CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.DestroyEvent(used));
            }
        }
    }

    /// <summary>Below that a copy takes a few microseconds, which a stream of its own would cost too.</summary>
    private const int LeastBytesOfCopyStream = 64 * 1024;

    /// <summary>Copies of a tensor that may be under way at once: a batch is written while the one before it is still copied.</summary>
    private const int StagingSlots = 4;

    public override void Upload(Tensor tensor, ReadOnlySpan<float> values)
    {
        Expect(tensor, values.Length);
        if (values.Length == 0) return;
        var staging = Staging(tensor);
        var buffer = staging.Take();
        fixed (float* from = values)
        {
            if (SizeOf(tensor.Element) == sizeof(ushort)) CpuHalfStorage.Store(from, (System.Half*)buffer.NativePtr, values.Length);
            else values.CopyTo(new Span<float>((void*)buffer.NativePtr, values.Length));
        }
        CopyIn(tensor, buffer, staging);
    }

    public override void Upload(Tensor tensor, ReadOnlySpan<int> values)
    {
        Expect(tensor, values.Length);
        if (values.Length == 0) return;
        var staging = Staging(tensor);
        var buffer = staging.Take();
        values.CopyTo(new Span<int>((void*)buffer.NativePtr, values.Length));
        CopyIn(tensor, buffer, staging);
    }

    public override void Download(Tensor tensor, Span<float> values)
    {
        Expect(tensor, values.Length);
        if (values.Length == 0) return;
        var staging = Staging(tensor);
        var buffer = CopyOut(tensor, staging);
        fixed (float* to = values)
        {
            if (SizeOf(tensor.Element) == sizeof(ushort)) CpuHalfStorage.Load((System.Half*)buffer.NativePtr, to, values.Length);
            else new Span<float>((void*)buffer.NativePtr, values.Length).CopyTo(values);
        }
        Release(tensor, staging);
    }

    public override void Download(Tensor tensor, Span<int> values)
    {
        Expect(tensor, values.Length);
        if (values.Length == 0) return;
        var staging = Staging(tensor);
        new Span<int>((void*)CopyOut(tensor, staging).NativePtr, values.Length).CopyTo(values);
        Release(tensor, staging);
    }

    /// <summary>An action that copies a tensor's bytes to another on the device, by the driver: what the device reaches at best.</summary>
    public Action Copy(Tensor from, Tensor to)
    {
        var (source, target) = (Bytes(from, from.Length), Bytes(to, to.Length));
        return () => source.CopyTo(_stream, target);
    }

    public override void Synchronize()
    {
        _stream.Synchronize();
        _streamWaits++;
        HostWaits++;
    }

    private void WaitFor(nint copyDone)
    {
        var state = CudaAPI.CurrentAPI.QueryEvent(copyDone);
        if (state == CudaError.CUDA_SUCCESS) return;
        if (state != CudaError.CUDA_ERROR_NOT_READY) CudaException.ThrowIfFailed(state);
        HostWaits++;
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.SynchronizeEvent(copyDone));
    }

    public override bool CanBeLost => true;

    public override void Abandon()
    {
        _lost = true;
        _device.Forget();
    }

    public override void Dispose()
    {
        GiveBack(() =>
        {
            _device.Accelerator.Bind();
            _stream.Synchronize(); // and so the copy stream: whatever it did, this one waited for
        });
        foreach (var step in _captured) GiveBack(step.Dispose);
        foreach (var staging in _staging.Values) GiveBack(staging.Dispose);
        foreach (var memory in _memory)
        {
            _device.Taken(-memory.LengthInBytes);
            GiveBack(memory.Dispose);
        }
        _captured.Clear();
        _memory.Clear();
        _partialSums = null;
        _staging.Clear();
        _arenas.Clear();
        _placed.Clear();
        if (_copyStream is not null) GiveBack(_copyStream.Dispose);
        GiveBack(_stream.Dispose);
    }

    /// <summary>A lost device answers every call with its loss, which has been reported: it is asked all the same, so that the host's part is freed.</summary>
    private void GiveBack(Action action)
    {
        try
        {
            action();
        }
        catch (AcceleratorException) when (_lost) { }
    }

    /// <summary>A batch, and the number of its rows, which is an integer among the counters.</summary>
    private static bool IsWrittenByStep(Tensor tensor) => tensor.Region == Region.Staging || tensor.Element == ElementType.Int32;

    private HostStaging Staging(Tensor tensor)
    {
        _device.Accelerator.Bind(); // events belong to the current context, and any thread may call
        if (!IsWrittenByStep(tensor)) return new HostStaging(this, tensor.Length * SizeOf(tensor.Element), slots: 1);
        ref var staging = ref CollectionsMarshal.GetValueRefOrAddDefault(_staging, tensor, out _);
        return staging ??= new HostStaging(this, tensor.Length * SizeOf(tensor.Element), StagingSlots);
    }

    /// <summary>Gives back the buffer of a tensor that is not copied at each step: a checkpoint must not pin a second copy of all weights.</summary>
    private void Release(Tensor tensor, HostStaging staging)
    {
        if (IsWrittenByStep(tensor)) return;
        Synchronize();
        staging.Dispose();
    }

    private void CopyIn(Tensor tensor, CPUMemoryBuffer from, HostStaging staging)
    {
        if (staging.OnDevice(out nint uploaded) is { } between)
        {
            // The buffer between is free as the host's is: both were read before the event that the host has seen.
            var copies = (CudaStream)(_copyStream ??= _device.Accelerator.CreateStream());
            between.CopyFrom(copies, from.AsRawArrayView());
            CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.RecordEvent(uploaded, copies.StreamPtr));
            CudaException.ThrowIfFailed(CudaDriver.WaitEvent(((CudaStream)_stream).StreamPtr, uploaded, flags: 0));
            Bytes(tensor, tensor.Length).CopyFrom(_stream, between);
        }
        else
        {
            Bytes(tensor, tensor.Length).CopyFrom(_stream, from.AsRawArrayView());
        }
        staging.Copying();
        Release(tensor, staging);
    }

    private CPUMemoryBuffer CopyOut(Tensor tensor, HostStaging staging)
    {
        var buffer = staging.Take();
        Bytes(tensor, tensor.Length).CopyTo(_stream, buffer.AsRawArrayView());
        staging.Copying();
        Synchronize();
        return buffer;
    }

    private static void Expect(Tensor tensor, int length)
    {
        if (tensor.Length != length) throw new ArgumentException($"{tensor} has {tensor.Length} elements; the host's buffer has {length}.");
    }
}
