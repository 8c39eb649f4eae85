using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// How an element of a tensor is stored. Every kernel body is generic over it: load to float, compute in float, store.
/// Implemented by empty structs, so that the JIT and ILGPU compile one straight body for each storage.
/// </summary>
internal interface IElementStorage<T> where T : unmanaged
{
    static abstract float Load(T value);

    /// <summary>Rounds to the nearest representable value, ties to even; beyond the range lies infinity.</summary>
    static abstract T Store(float value);
}

/// <summary>A storage that a GPU also reads and writes eight elements at a time, in instructions of 16 bytes.</summary>
internal interface IStorage<T> : IElementStorage<T> where T : unmanaged
{
    /// <param name="from">Aligned to four elements.</param>
    /// <param name="place">Of the first element; a multiple of 4.</param>
    static abstract Quad Load4(ILGPU.ArrayView<T> from, int place);

    /// <param name="from">Aligned to 16 bytes: what <see cref="IlgpuBackend.Vectors"/> gave.</param>
    /// <param name="place">Of the first element; a multiple of 8.</param>
    static abstract Vector8 Load8(ILGPU.ArrayView<T> from, int place);

    /// <inheritdoc cref="Load8"/>
    static abstract void Store8(ILGPU.ArrayView<T> to, int place, Vector8 values);
}

/// <summary>A storage that the CPU also converts sixteen elements at a time.</summary>
internal unsafe interface ICpuStorage<T> : IElementStorage<T> where T : unmanaged
{
    /// <summary>Sixteen elements from <paramref name="source"/> as floats.</summary>
    static abstract Vector512<float> Load16(T* source);

    /// <summary>The same of elements that are known to be finite, at two thirds of the cost.</summary>
    static abstract Vector512<float> LoadFinite16(T* source);

    /// <summary>Sixteen floats to <paramref name="target"/>.</summary>
    static abstract void Store16(Vector512<float> values, T* target);

    /// <summary>Sixteen elements as they are stored, those of lanes that are all ones in <paramref name="where"/>; 0 where a lane is 0.</summary>
    static abstract void Select16(T* source, Vector512<float> where, T* target);

    /// <summary>Sixteen numbers below 2^16 as the bits of elements that only <see cref="LoadBits16"/> reads.</summary>
    static abstract void StoreBits16(Vector512<int> bits, T* target);

    /// <inheritdoc cref="StoreBits16"/>
    static abstract Vector512<int> LoadBits16(T* source);

    /// <summary>
    /// At least one element and at least <paramref name="count"/>, in whole vectors: up to 15 beyond are read and written. An
    /// arena has room for that behind its last tensor; the target must have it too, and what is written there means nothing.
    /// </summary>
    static abstract void LoadWide(T* source, float* target, int count);

    /// <summary>Several lines as <see cref="LoadWide"/> takes one, in their order: a target line may begin where the one before ends.</summary>
    /// <param name="pitch">From one line of the source to the next, in elements.</param>
    /// <param name="stride">From one line of the target to the next.</param>
    static abstract void LoadLines(T* source, int pitch, int lines, float* target, int stride, int count);

    /// <summary>Exactly <paramref name="count"/> elements as floats; nothing beyond is touched.</summary>
    static abstract void Load(T* source, float* target, int count);

    /// <summary>As floats where they lie, if they are such, or in the buffer, with up to 15 beyond.</summary>
    static abstract float* AsFloats(T* source, float* buffer, int count);

    /// <summary>Where floats for <paramref name="target"/> can be put before <see cref="Store(float*, T*, int)"/>: there, if it takes them as they are, or in the buffer.</summary>
    static abstract float* FloatsFor(T* target, float* buffer);

    /// <summary>Exactly <paramref name="count"/> floats rounded to storage; nothing beyond is touched.</summary>
    static abstract void Store(float* source, T* target, int count);

    /// <summary>Exactly <paramref name="count"/> floats of each line, a multiple of 16, rounded to storage.</summary>
    /// <param name="stride">From one line of the source to the next.</param>
    /// <param name="pitch">From one line of the target to the next, in elements.</param>
    static abstract void StoreLines(float* source, int stride, int lines, T* target, int pitch, int count);

    /// <summary>The sum of the squares, in an order that depends on the count alone. Not finite where an element is not.</summary>
    static abstract float SquareSum(T* source, int count);
}
