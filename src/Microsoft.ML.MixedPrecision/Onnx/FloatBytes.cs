using System.Buffers;
using System.Runtime.InteropServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>An array of floats as the bytes that it is, so that a model holds weights without a copy of them. Nobody may change the array then.</summary>
internal sealed unsafe class FloatBytes(float[] values) : MemoryManager<byte>
{
    public override Span<byte> GetSpan() => MemoryMarshal.AsBytes(values.AsSpan());

    public override MemoryHandle Pin(int elementIndex = 0)
    {
        var handle = GCHandle.Alloc(values, GCHandleType.Pinned); // freed with the handle that is returned
        return new MemoryHandle((byte*)handle.AddrOfPinnedObject() + elementIndex, handle, this);
    }

    public override void Unpin() { }

    protected override void Dispose(bool disposing) { }
}
