using System.Runtime.CompilerServices;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class GradientAccumulation
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(gradients);
        float* to = cpu.Pointer<float>(sum);
        int* counters = cpu.Pointer<int>(control.Counters);
        return cpu.For(sum.Length, CpuBackend.ElementGrain, Run);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Run(long start, long end)
        {
            bool first = counters[StepControl.Accumulated] == 1;
            for (long i = start; i < end; i += CpuVector.Width) // a multiple of 128
            {
                var g = TStorage.Load16(from + i);
                CpuSingleStorage.Store16(first ? g : CpuSingleStorage.Load16(to + i) + g, to + i);
            }
        }
    }
}
