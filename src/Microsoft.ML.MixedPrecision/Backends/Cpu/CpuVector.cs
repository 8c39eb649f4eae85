using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Sixteen floats at a time over runs of any length: the last few go through a buffer on the stack.</summary>
internal static unsafe class CpuVector
{
    public const int Width = 16;

    /// <summary>The first <paramref name="count"/> elements, then zeros; nothing beyond is read.</summary>
    [SkipLocalsInit]
    public static Vector512<float> Load<T, TStorage>(T* source, int count)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        float* part = stackalloc float[Width];
        Vector512<float>.Zero.Store(part);
        TStorage.Load(source, part, count);
        return Vector512.Load(part);
    }

    /// <summary>The first <paramref name="count"/> elements; nothing beyond is written.</summary>
    [SkipLocalsInit]
    public static void Store<T, TStorage>(Vector512<float> values, T* target, int count)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        float* part = stackalloc float[Width];
        values.Store(part);
        TStorage.Store(part, target, count);
    }
}
