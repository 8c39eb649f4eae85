using System.Runtime.CompilerServices;
using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>One element: what is left where rows are no multiple of eight.</summary>
internal readonly record struct Vector1(float Value) : IGpuVector<Vector1>
{
    public static int Width => 1;
    public static int Shift => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector1 All(float value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector1 From(float value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector1 Load<T, TStorage>(ArrayView<T> from, int place) where T : unmanaged where TStorage : struct, IStorage<T> =>
        new(TStorage.Load(from[place]));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T, TStorage>(ArrayView<T> to, int place, Vector1 values) where T : unmanaged where TStorage : struct, IStorage<T> =>
        to[place] = TStorage.Store(values.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector1 Map<TFunction>(TFunction function, Vector1 x, Vector1 y) where TFunction : struct, IGpuFunction => new(function.Apply(x.Value, y.Value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector1 operator +(Vector1 x, Vector1 y) => new(x.Value + y.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector1 operator -(Vector1 x, Vector1 y) => new(x.Value - y.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector1 operator *(Vector1 x, Vector1 y) => new(x.Value * y.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector1 operator *(Vector1 x, float y) => new(x.Value * y);

    public static float Sum(Vector1 x) => x.Value;

    public static float Max(Vector1 x) => x.Value;
}
