using System.Runtime.CompilerServices;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class AddForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        var user = new CpuUser<T, TStorage>(cpu, a, b, y);
        return next is null ? user.With(new Unchanged()) : next.Give<T, TStorage>(cpu, user);
    }

    private sealed class CpuUser<T, TStorage>(CpuBackend cpu, Tensor a, Tensor b, Tensor y) : ICpuElementUser
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        public Action With<TElement>(TElement element) where TElement : unmanaged, ICpuElement
        {
            T* left = cpu.Pointer<T>(a), right = cpu.Pointer<T>(b), to = cpu.Pointer<T>(y);
            return cpu.For(y.Length, CpuBackend.ElementGrain, Run);

            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            void Run(long start, long end)
            {
                long i = start;
                for (; i <= end - CpuVector.Width; i += CpuVector.Width) TStorage.Store16(element.Apply(TStorage.Load16(left + i) + TStorage.Load16(right + i), i), to + i);
                if (i == end) return;
                int rest = (int)(end - i);
                CpuVector.Store<T, TStorage>(element.Apply(CpuVector.Load<T, TStorage>(left + i, rest) + CpuVector.Load<T, TStorage>(right + i, rest), i, rest), to + i, rest);
            }
        }
    }
}
