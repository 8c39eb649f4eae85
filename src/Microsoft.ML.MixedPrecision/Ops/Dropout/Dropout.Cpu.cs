using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class DropoutMask
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* source = cpu.Pointer<T>(from), target = cpu.Pointer<T>(to);
        int* count = cpu.Pointer<int>(counters);
        var (threshold, scale) = (Threshold, Scale);
        return cpu.For(to.Length, grain: 4096, Run);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Run(long start, long end)
        {
            uint pass = (uint)count[StepControl.MicroSteps];
            uint* words = stackalloc uint[CpuVector.Width];
            var limit = Vector512.Create(threshold);
            for (long i = start; i < end; i += CpuVector.Width) // a multiple of 4096, so that counters never straddle two parts
            {
                for (int w = 0; w < CpuVector.Width; w += 4)
                {
                    var random = CounterRandom.Philox((uint)((i + w) >> 2), pass, seed, (uint)layer);
                    words[w] = random.W0;
                    words[w + 1] = random.W1;
                    words[w + 2] = random.W2;
                    words[w + 3] = random.W3;
                }
                var keep = Vector512.GreaterThanOrEqual(Vector512.Load(words) >> 8, limit).AsSingle();
                int width = (int)Math.Min(CpuVector.Width, end - i);
                // Selected, not multiplied with 0: what falls is 0 even where it was infinite.
                if (width == CpuVector.Width) TStorage.Store16((TStorage.Load16(source + i) * scale) & keep, target + i);
                else CpuVector.Store<T, TStorage>((CpuVector.Load<T, TStorage>(source + i, width) * scale) & keep, target + i, width);
            }
        }
    }
}
