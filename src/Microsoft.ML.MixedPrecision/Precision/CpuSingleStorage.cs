using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>FP32 on the CPU: every conversion is a copy.</summary>
internal readonly unsafe struct CpuSingleStorage : ICpuStorage<float>
{
    public static float Load(float value) => value;

    public static float Store(float value) => value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load16(float* source) => Vector512.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadFinite16(float* source) => Vector512.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store16(Vector512<float> values, float* target) => values.Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Select16(float* source, Vector512<float> where, float* target) => (Vector512.Load(source) & where).Store(target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBits16(Vector512<int> bits, float* target) => bits.Store((int*)target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> LoadBits16(float* source) => Vector512.Load((int*)source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadWide(float* source, float* target, int count)
    {
        int i = 0;
        do { Vector512.Load(source + i).Store(target + i); i += CpuVector.Width; } while (i < count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadLines(float* source, int pitch, int lines, float* target, int stride, int count)
    {
        for (; lines > 0; lines--, source += pitch, target += stride) LoadWide(source, target, count);
    }

    public static void Load(float* source, float* target, int count) => new ReadOnlySpan<float>(source, count).CopyTo(new Span<float>(target, count));

    public static float* AsFloats(float* source, float* buffer, int count) => source;

    public static float* FloatsFor(float* target, float* buffer) => target;

    public static void Store(float* source, float* target, int count)
    {
        if (source != target) new ReadOnlySpan<float>(source, count).CopyTo(new Span<float>(target, count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreLines(float* source, int stride, int lines, float* target, int pitch, int count)
    {
        for (; lines > 0; lines--, source += stride, target += pitch) LoadWide(source, target, count);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float SquareSum(float* source, int count)
    {
        Vector512<float> even = default, odd = default;
        int i = 0;
        for (; i <= count - 2 * CpuVector.Width; i += 2 * CpuVector.Width)
        {
            var (x, y) = (Vector512.Load(source + i), Vector512.Load(source + i + CpuVector.Width));
            even += x * x;
            odd += y * y;
        }
        float rest = 0f;
        for (; i < count; i++) rest += source[i] * source[i];
        return Vector512.Sum(even + odd) + rest;
    }
}
