using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// What one thread works on, as floats: <see cref="Vector8"/>, which is read and written 16 bytes at a time, or <see cref="Vector1"/>
/// where the elements of a row are no multiple of 8. A kernel that is generic over it is written once for both.
/// </summary>
internal interface IGpuVector<TSelf> where TSelf : unmanaged, IGpuVector<TSelf>
{
    /// <summary>Elements.</summary>
    static abstract int Width { get; }

    /// <summary>n &gt;&gt; Shift is n / Width: ILGPU 1.5.3 translates a division by a constant as if no number were negative.</summary>
    static abstract int Shift { get; }

    /// <summary>One value in every place.</summary>
    static abstract TSelf All(float value);

    /// <summary>A value, and in the next places those that are 1, 2, 3 and so on more.</summary>
    static abstract TSelf From(float value);

    /// <param name="from">What <see cref="IlgpuBackend.Vectors"/> gave.</param>
    /// <param name="place">Of the first element; a multiple of <see cref="Width"/>.</param>
    static abstract TSelf Load<T, TStorage>(ArrayView<T> from, int place) where T : unmanaged where TStorage : struct, IStorage<T>;

    /// <param name="to">What <see cref="IlgpuBackend.Vectors"/> gave.</param>
    /// <param name="place">Of the first element; a multiple of <see cref="Width"/>.</param>
    /// <param name="values">Each is rounded as the storage rounds.</param>
    static abstract void Store<T, TStorage>(ArrayView<T> to, int place, TSelf values) where T : unmanaged where TStorage : struct, IStorage<T>;

    /// <summary>A function of two elements at each place.</summary>
    static abstract TSelf Map<TFunction>(TFunction function, TSelf x, TSelf y) where TFunction : struct, IGpuFunction;

    /// <summary>All elements, as a tree.</summary>
    static abstract float Sum(TSelf x);

    /// <summary>The largest element; where one is NaN, that or another.</summary>
    static abstract float Max(TSelf x);

    static abstract TSelf operator +(TSelf x, TSelf y);
    static abstract TSelf operator -(TSelf x, TSelf y);
    static abstract TSelf operator *(TSelf x, TSelf y);
    static abstract TSelf operator *(TSelf x, float y);
}

/// <summary>A function of an element, and of another at the same place.</summary>
internal interface IGpuFunction
{
    float Apply(float x, float y);
}
