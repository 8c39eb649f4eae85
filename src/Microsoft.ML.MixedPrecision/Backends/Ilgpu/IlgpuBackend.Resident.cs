using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class IlgpuBackend
{
    public bool IsSimulator => _device.IsSimulator;

    public bool IsCuda => _device.IsCuda;

    public override IResidentRows? Keep(RowStore rows, ExecutionPlan plan)
    {
        if (rows.Count == 0 || rows.Count > int.MaxValue - plan.Options.Batch) return null; // the start of the batch after the last is an int too
        if (ResidentRows.Bytes(rows) > _device.FreeBytes * ResidentRows.ShareOfFreeMemory) return null;
        return new ResidentRows(this, rows, plan);
    }

    /// <summary>One array of each chunk, one after the other, as far as a tensor has room: the last chunk may have more.</summary>
    public void CopyIn(Tensor to, IReadOnlyList<RowChunk> chunks, Func<RowChunk, ReadOnlySpan<byte>> bytes)
    {
        var all = Bytes(to, to.Length);
        long done = 0;
        for (int i = 0; done < all.Length; i++)
        {
            var part = bytes(chunks[i]);
            part = part[..(int)Math.Min(part.Length, all.Length - done)];
            CopyIn(all.SubView(done, part.Length), part);
            done += part.Length;
        }
    }

    /// <summary>Copies to memory that is no tensor's, and waits for it: once a training, or once an epoch.</summary>
    public void CopyIn<T>(ArrayView<T> to, ReadOnlySpan<T> from) where T : unmanaged
    {
        using var buffer = _device.CreateHostBuffer((long)from.Length * sizeof(T));
        from.CopyTo(new Span<T>((void*)buffer.NativePtr, from.Length));
        to.Cast<byte>().CopyFrom(_stream, buffer.AsRawArrayView());
        Synchronize();
    }
}
