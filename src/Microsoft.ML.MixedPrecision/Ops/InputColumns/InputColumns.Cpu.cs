namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class InputColumns
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu) => y.Element == ElementType.Single ? Bind<float, CpuSingleStorage>(cpu) : Bind<T, TStorage>(cpu);

    private Action Bind<T, TStorage>(CpuBackend cpu) where T : unmanaged where TStorage : struct, ICpuStorage<T>
    {
        float* from = cpu.Pointer<float>(rows) + first;
        T* to = cpu.Pointer<T>(y);
        var (pitch, count) = (Pitch, Count);
        return cpu.For(y.Dimensions[0], grain: Math.Max(1, CpuBackend.ElementGrain / count), (start, end) =>
        {
            for (long n = start; n < end; n++) TStorage.Store(from + n * pitch, to + n * count, count);
        });
    }
}
