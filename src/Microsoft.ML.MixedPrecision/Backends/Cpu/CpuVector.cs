using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Sixteen floats at a time over runs of any length: the last few go through a buffer on the stack.</summary>
internal static unsafe partial class CpuVector
{
    public const int Width = 16;

    /// <summary>The first <paramref name="count"/> elements, then zeros. What lies beyond is read too: an arena has room for it behind its last tensor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load<T, TStorage>(T* source, int count)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T> => TStorage.Load16(source) & First(count);

    /// <summary>
    /// The first <paramref name="count"/> elements, <paramref name="step"/> apart; nothing else is written. Sixteen into a buffer, count
    /// out of it: one conversion of 16 beats ten of one (2.4 ns each).
    /// </summary>
    [SkipLocalsInit]
    public static void Store<T, TStorage>(Vector512<float> values, T* target, int count, int step = 1)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        T* part = stackalloc T[Width];
        TStorage.Store16(values, part);
        for (int i = 0; i < count; i++, target += step) *target = part[i];
    }

    /// <summary>
    /// The first <paramref name="count"/> elements, by a whole store wherever that ends at or before <paramref name="end"/>: beyond
    /// count it leaves rubbish, for a caller that writes those elements later.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreOver<T, TStorage>(Vector512<float> values, T* target, int count, T* end)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        if (target + Width <= end) TStorage.Store16(values, target);
        else Store<T, TStorage>(values, target, count);
    }

    /// <summary>All bits of the first <paramref name="count"/> lanes: rubbish behind the end of a row, NaN included, is 0 after an AND.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> First(int count) => Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(count)).AsSingle();

    /// <summary>The largest lane; NaN where one is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(Vector512<float> values)
    {
        var eight = Vector256.Max(values.GetLower(), values.GetUpper());
        var four = Vector128.Max(eight.GetLower(), eight.GetUpper());
        four = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return MathF.Max(four[0], four[1]);
    }
}
