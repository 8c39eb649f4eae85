using System.Runtime.CompilerServices;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class ElementProduct
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* left = cpu.Pointer<T>(a), right = cpu.Pointer<T>(b), to = cpu.Pointer<T>(y);
        return cpu.For(y.Length, CpuBackend.ElementGrain, Run);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Run(long start, long end)
        {
            long i = start;
            for (; i <= end - CpuVector.Width; i += CpuVector.Width) TStorage.Store16(TStorage.Load16(left + i) * TStorage.Load16(right + i), to + i);
            if (i == end) return;
            int rest = (int)(end - i);
            CpuVector.Store<T, TStorage>(CpuVector.Load<T, TStorage>(left + i, rest) * CpuVector.Load<T, TStorage>(right + i, rest), to + i, rest);
        }
    }
}
