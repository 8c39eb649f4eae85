namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class AxisSwap
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* lines = cpu.Pointer<T>(together), adjoining = cpu.Pointer<T>(apart);
        var (outer, length, size, across) = (Outer, Lines, Size, blocks);
        bool splits = direction == Direction.Split;
        int pitch = Parts * across * size;
        // The lines of a block adjoin on one side, and lie a pitch apart on the other.
        return cpu.For((long)Parts * outer * across, grain: Math.Max(1, CpuBackend.ElementGrain / (length * size)), (first, end) =>
        {
            for (long block = first; block < end; block++)
            {
                long o = block / (Parts * across), part = block / across % Parts, b = block % across;
                T* line = lines + o * length * pitch + (part * across + b) * size, row = adjoining + ((part * outer + o) * across + b) * length * size;
                float factor = part == 0 ? scale : 1f;
                for (int l = 0; l < length; l++, line += pitch, row += size)
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
