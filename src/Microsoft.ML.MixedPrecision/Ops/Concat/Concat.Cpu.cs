namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class ColumnCopy
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        int fromPitch = from.Dimensions[^1], toPitch = to.Dimensions[^1], columns = count;
        T* source = cpu.Pointer<T>(from) + fromColumn, target = cpu.Pointer<T>(to) + toColumn;
        return cpu.For(Rows, grain: Math.Max(1, CpuBackend.ElementGrain / columns), (first, end) =>
        {
            for (long r = first; r < end; r++) new ReadOnlySpan<T>(source + r * fromPitch, columns).CopyTo(new Span<T>(target + r * toPitch, columns));
        });
    }
}
