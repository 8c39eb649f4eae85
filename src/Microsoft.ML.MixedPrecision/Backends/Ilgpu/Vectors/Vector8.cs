using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Eight neighbouring elements: 16 bytes of halves, or twice 16 bytes of floats.</summary>
/// <remarks>Scalars by name, because ILGPU keeps the fields of a struct in registers, and an array on the stack.</remarks>
internal readonly record struct Vector8(float E0, float E1, float E2, float E3, float E4, float E5, float E6, float E7) : IGpuVector<Vector8>
{
    public static int Width => 8;
    public static int Shift => 3;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector8 All(float value) => new(value, value, value, value, value, value, value, value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector8 From(float value) => new(value, value + 1f, value + 2f, value + 3f, value + 4f, value + 5f, value + 6f, value + 7f);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector8 Load<T, TStorage>(ArrayView<T> from, int place) where T : unmanaged where TStorage : struct, IStorage<T> => TStorage.Load8(from, place);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T, TStorage>(ArrayView<T> to, int place, Vector8 values) where T : unmanaged where TStorage : struct, IStorage<T> =>
        TStorage.Store8(to, place, values);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector8 Map<TFunction>(TFunction function, Vector8 x, Vector8 y) where TFunction : struct, IGpuFunction => new(
        function.Apply(x.E0, y.E0), function.Apply(x.E1, y.E1), function.Apply(x.E2, y.E2), function.Apply(x.E3, y.E3),
        function.Apply(x.E4, y.E4), function.Apply(x.E5, y.E5), function.Apply(x.E6, y.E6), function.Apply(x.E7, y.E7));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector8 operator +(Vector8 x, Vector8 y) => new(x.E0 + y.E0, x.E1 + y.E1, x.E2 + y.E2, x.E3 + y.E3, x.E4 + y.E4, x.E5 + y.E5, x.E6 + y.E6, x.E7 + y.E7);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector8 operator -(Vector8 x, Vector8 y) => new(x.E0 - y.E0, x.E1 - y.E1, x.E2 - y.E2, x.E3 - y.E3, x.E4 - y.E4, x.E5 - y.E5, x.E6 - y.E6, x.E7 - y.E7);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector8 operator *(Vector8 x, Vector8 y) => new(x.E0 * y.E0, x.E1 * y.E1, x.E2 * y.E2, x.E3 * y.E3, x.E4 * y.E4, x.E5 * y.E5, x.E6 * y.E6, x.E7 * y.E7);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector8 operator *(Vector8 x, float y) => new(x.E0 * y, x.E1 * y, x.E2 * y, x.E3 * y, x.E4 * y, x.E5 * y, x.E6 * y, x.E7 * y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector8 x) => ((x.E0 + x.E1) + (x.E2 + x.E3)) + ((x.E4 + x.E5) + (x.E6 + x.E7));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(Vector8 x) => XMath.Max(XMath.Max(XMath.Max(x.E0, x.E1), XMath.Max(x.E2, x.E3)), XMath.Max(XMath.Max(x.E4, x.E5), XMath.Max(x.E6, x.E7)));
}

/// <summary>16 bytes: ILGPU moves them in one instruction where it knows the address for a multiple of 16, as that of an arena is.</summary>
internal readonly record struct Words4(uint W0, uint W1, uint W2, uint W3);

/// <summary>8 bytes: see <see cref="Words4"/>.</summary>
internal readonly record struct Words2(uint W0, uint W1);

/// <summary>Four floats: see <see cref="Words4"/>.</summary>
internal readonly record struct Quad(float A, float B, float C, float D)
{
    /// <summary>factor * values + sums.</summary>
    public static Quad MultiplyAdd(float factor, Quad values, Quad sums) =>
        new(factor * values.A + sums.A, factor * values.B + sums.B, factor * values.C + sums.C, factor * values.D + sums.D);
}

/// <summary>A half as the low 16 bits of a word.</summary>
internal interface IHalfBits
{
    static abstract float FromBits(uint bits);

    /// <summary>Two floats rounded as the storage rounds, the first in the low bits.</summary>
    static abstract uint Pack(float low, float high);
}

/// <summary>Eight halves in four words, the first in the low bits of the first.</summary>
internal static class HalfVector
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quad Load4<T, TBits>(ArrayView<T> from, int place) where T : unmanaged where TBits : struct, IHalfBits
    {
        var words = from.Cast<Words2>()[place >> 2];
        return new(Low<TBits>(words.W0), High<TBits>(words.W0), Low<TBits>(words.W1), High<TBits>(words.W1));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector8 Load<T, TBits>(ArrayView<T> from, int place) where T : unmanaged where TBits : struct, IHalfBits
    {
        var words = from.Cast<Words4>()[place >> 3];
        return new(Low<TBits>(words.W0), High<TBits>(words.W0), Low<TBits>(words.W1), High<TBits>(words.W1),
            Low<TBits>(words.W2), High<TBits>(words.W2), Low<TBits>(words.W3), High<TBits>(words.W3));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T, TBits>(ArrayView<T> to, int place, Vector8 values) where T : unmanaged where TBits : struct, IHalfBits =>
        to.Cast<Words4>()[place >> 3] = new(TBits.Pack(values.E0, values.E1), TBits.Pack(values.E2, values.E3), TBits.Pack(values.E4, values.E5), TBits.Pack(values.E6, values.E7));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Low<TBits>(uint word) where TBits : struct, IHalfBits => TBits.FromBits(word & 0xFFFF);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float High<TBits>(uint word) where TBits : struct, IHalfBits => TBits.FromBits(word >> 16);
}
