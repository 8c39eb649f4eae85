using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class DropoutMask
{
    /// <summary>Elements whose words, floats and results are in L1 together: 12 KB. Parts begin at multiples of it, so that counters never straddle two.</summary>
    private const int AtOnce = 1024;

    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* source = cpu.Pointer<T>(from), target = cpu.Pointer<T>(to);
        int* count = cpu.Pointer<int>(counters);
        var (threshold, scale) = (Threshold, Scale);
        return cpu.For(to.Length, grain: 4 * AtOnce, Run);

        void Run(long start, long end)
        {
            uint pass = (uint)count[StepControl.MicroSteps];
            ulong* keys = stackalloc ulong[CpuRandom.KeyCount];
            CpuRandom.Keys(seed, (uint)layer, keys);
            float* buffer = FloatBuffer.Of(3 * AtOnce);
            uint* words = (uint*)(buffer + 2 * AtOnce);
            for (long i = start; i < end; i += AtOnce)
            {
                int some = (int)Math.Min(AtOnce, end - i);
                Draw((uint)(i >> 2), pass, keys, words, some);
                float* values = TStorage.AsFloats(source + i, buffer, some);
                Select(values, words, buffer + AtOnce, some);
                TStorage.Store(buffer + AtOnce, target + i, some);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        static void Draw(uint counter, uint pass, ulong* keys, uint* words, int length)
        {
            for (int i = 0; i < length; i += CpuRandom.WordsAtOnce) CpuRandom.Words(counter + (uint)i / 4, pass, keys, words + i);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Select(float* values, uint* words, float* result, int length)
        {
            Vector512<uint> limit = Vector512.Create(threshold);
            var factor = Vector512.Create(scale);
            // Selected, not multiplied with 0: what falls is 0 even where it was infinite.
            for (int i = 0; i < length; i += CpuVector.Width)
                (Vector512.Load(values + i) * factor & Vector512.GreaterThanOrEqual(Vector512.Load(words + i) >> 8, limit).AsSingle()).Store(result + i);
        }
    }
}
