using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>What happens to a finished sum, by vector and for the last few by element.</summary>
internal interface IMap
{
    Vector512<float> Apply(Vector512<float> sum, int column);
    float Apply(float sum, int column);
}

internal readonly struct Plain : IMap
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public Vector512<float> Apply(Vector512<float> sum, int column) => sum;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public float Apply(float sum, int column) => sum;
}

/// <summary>Adds a bias in working storage, one per column.</summary>
internal readonly unsafe struct Bias<T, TStorage>(T* bias) : IMap
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
{
    private readonly T* _bias = bias;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public Vector512<float> Apply(Vector512<float> sum, int column) => sum + TStorage.Load16(_bias + column);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public float Apply(float sum, int column) => sum + TStorage.Load(_bias[column]);
}

/// <summary>Where the results go.</summary>
internal interface ISink
{
    void Store(Vector512<float> value, int row, int column);
    /// <summary>The first count elements only.</summary>
    void Store(Vector512<float> value, int row, int column, int count);
}

/// <summary>Rows of working storage, <paramref name="pitch"/> elements apart.</summary>
internal readonly unsafe struct ToStorage<T, TStorage>(T* data, int pitch) : ISink
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
{
    private readonly T* _data = data;
    private readonly int _pitch = pitch;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(Vector512<float> value, int row, int column) => TStorage.Store16(value, _data + (long)row * _pitch + column);

    // Sixteen into a buffer, count out of it: one conversion of 16 beats ten of one (2.4 ns each).
    [SkipLocalsInit]
    public void Store(Vector512<float> value, int row, int column, int count)
    {
        T* part = stackalloc T[CpuVector.Width];
        TStorage.Store16(value, part);
        T* to = _data + (long)row * _pitch + column;
        for (int i = 0; i < count; i++) to[i] = part[i];
    }
}
