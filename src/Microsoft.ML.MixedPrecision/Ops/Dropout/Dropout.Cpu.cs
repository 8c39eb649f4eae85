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
            ulong* keys = stackalloc ulong[CpuRandom.KeyCount];
            CpuRandom.Keys(seed, (uint)layer, keys);
            var limit = Vector512.Create(threshold);
            for (long i = start; i < end; i += 2 * CpuVector.Width) // from a multiple of 4096, so that counters never straddle two parts
            {
                CpuRandom.Words((uint)(i >> 2), pass, keys, out var low, out var high);
                Mask(low, i);
                if (i + CpuVector.Width < end) Mask(high, i + CpuVector.Width);
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            void Mask(Vector512<uint> words, long at)
            {
                var keep = Vector512.GreaterThanOrEqual(words >> 8, limit).AsSingle();
                // Selected, not multiplied with 0: what falls is 0 even where it was infinite.
                var value = (TStorage.Load16(source + at) * scale) & keep;
                if (at + CpuVector.Width <= end) TStorage.Store16(value, target + at);
                else CpuVector.Store<T, TStorage>(value, target + at, (int)(end - at));
            }
        }
    }
}
