using System.Runtime.CompilerServices;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class PositionalEmbeddingForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), embedding = cpu.Pointer<T>(p), to = cpu.Pointer<T>(y);
        int size = (int)p.Length, rows = (int)(x.Length / size);
        return cpu.For(rows, grain: Math.Max(1, CpuBackend.ElementGrain / size), Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            for (long row = first; row < end; row++)
            {
                T* a = from + row * size, sum = to + row * size;
                int i = 0;
                for (; i <= size - CpuVector.Width; i += CpuVector.Width) TStorage.Store16(TStorage.Load16(a + i) + TStorage.Load16(embedding + i), sum + i);
                if (i < size) CpuVector.Store<T, TStorage>(CpuVector.Load<T, TStorage>(a + i, size - i) + CpuVector.Load<T, TStorage>(embedding + i, size - i), sum + i, size - i);
            }
        }
    }
}
