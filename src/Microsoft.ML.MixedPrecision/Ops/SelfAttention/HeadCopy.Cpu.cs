namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class HeadCopy
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* lines = cpu.Pointer<T>(joined), blocks = cpu.Pointer<T>(apart);
        var (batch, length, parts, size, count) = (Batch, Length, Parts, Size, heads);
        bool splits = direction == Direction.Split;
        int pitch = parts * count * size;
        // A block is a head of an example: its positions adjoin on one side, and lie a pitch apart on the other.
        return cpu.For((long)parts * batch * count, grain: Math.Max(1, CpuBackend.ElementGrain / (length * size)), (first, end) =>
        {
            for (long block = first; block < end; block++)
            {
                long part = block / (batch * count), example = block / count % batch, head = block % count;
                T* line = lines + example * length * pitch + (part * count + head) * size, row = blocks + block * length * size;
                float factor = part == 0 ? scale : 1f;
                for (int position = 0; position < length; position++, line += pitch, row += size)
                {
                    T* from = splits ? line : row, to = splits ? row : line;
                    if (factor == 1f) new ReadOnlySpan<T>(from, size).CopyTo(new Span<T>(to, size));
                    else Scale<T, TStorage>(from, to, size, factor);
                }
            }
        });
    }

    private static void Scale<T, TStorage>(T* from, T* to, int count, float factor)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        int i = 0;
        for (; i <= count - CpuVector.Width; i += CpuVector.Width) TStorage.Store16(TStorage.Load16(from + i) * factor, to + i);
        if (i < count) CpuVector.Store<T, TStorage>(CpuVector.Load<T, TStorage>(from + i, count - i) * factor, to + i, count - i);
    }
}
