using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>What is computed of sixteen elements of one tensor and those at the same places of another.</summary>
internal interface ICpuMap
{
    /// <param name="place">Of the first of them in its tensor.</param>
    Vector512<float> Apply(Vector512<float> first, Vector512<float> second, long place);
}

internal sealed unsafe partial class CpuBackend
{
    /// <summary>Elements that are in L1 as floats together, those of two tensors and what is made of them: 12 KiB.</summary>
    private const int MapBlock = 1024;

    /// <summary>
    /// Binds a kernel that makes each element of one tensor from those at the same place of one or two others. Halves become floats a block at a time, by the conversions of
    /// many elements, which are faster than those of sixteen.
    /// </summary>
    /// <param name="second">May be the first.</param>
    public Action Map<T, TStorage, TMap>(Tensor first, Tensor second, Tensor result, TMap map)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
        where TMap : struct, ICpuMap
    {
        T* a = Pointer<T>(first), b = Pointer<T>(second), to = Pointer<T>(result);
        return For(result.Length, ElementGrain, Run);

        void Run(long start, long end)
        {
            int pitch = FloatBuffer.Pitch(MapBlock);
            float* buffer = FloatBuffer.Of(3 * pitch);
            for (long i = start; i < end; i += MapBlock)
            {
                int some = (int)Math.Min(MapBlock, end - i);
                float* x = TStorage.AsFloats(a + i, buffer, some), y = a == b ? x : TStorage.AsFloats(b + i, buffer + pitch, some);
                float* z = TStorage.FloatsFor(to + i, buffer + 2 * pitch);
                Apply(x, y, z, i, some);
                TStorage.Store(z, to + i, some);
            }
        }

        // In a method of its own: beside anything else a long function is more than the JIT inlines, with 256-bit vectors at least (Gelu's gradient of 4 M elements then takes
        // 29 to 91 ms instead of 6).
        [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
        void Apply(float* x, float* y, float* z, long place, int count)
        {
            var function = map;
            int i = 0;
            for (; i <= count - CpuVector.Width; i += CpuVector.Width) function.Apply(Vector512.Load(x + i), Vector512.Load(y + i), place + i).Store(z + i);
            if (i < count) CpuVector.Store<float, CpuSingleStorage>(function.Apply(Vector512.Load(x + i), Vector512.Load(y + i), place + i), z + i, count - i);
        }
    }
}
