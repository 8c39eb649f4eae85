namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class Poison
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu) => tensor.Element == ElementType.Single
        ? Fill<float, CpuSingleStorage>(cpu)
        : Fill<T, TStorage>(cpu);

    private Action Fill<T, TStorage>(CpuBackend cpu) where T : unmanaged where TStorage : struct, ICpuStorage<T>
    {
        T* to = cpu.Pointer<T>(tensor);
        var nan = TStorage.Store(float.NaN);
        return cpu.For(tensor.Length, CpuBackend.ElementGrain, (start, end) => new Span<T>(to + start, (int)(end - start)).Fill(nan));
    }
}
