using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// How an operand's tile lies in shared memory: a length of 64 or 128 along the product's rows (or columns; "outer") and 32 values of k
/// ("depth"), in chunks of eight neighbours of 16 bytes. Chunks change places within a line, so that the eight that one phase of a load of matrices
/// reads lie in different banks.
/// </summary>
internal interface ITileLayout
{
    /// <summary>1 where a chunk's neighbours run along k, 0 where they run along the other direction.</summary>
    static abstract int AlongDepth { get; }

    /// <summary>Where a tile's chunk begins: its first element along each direction.</summary>
    static abstract int Outer(int chunk, int length);

    /// <inheritdoc cref="Outer"/>
    static abstract int Depth(int chunk, int length);

    /// <summary>Where a tile keeps the chunk that begins at an element.</summary>
    static abstract int Place(int outer, int depth, int length);

    /// <summary>The place of the chunk 16 values of k further, in the same tile.</summary>
    static abstract int SecondHalf(int place, int length);

    /// <summary>The chunk that a lane points to for a left fragment at (outer, 0).</summary>
    static abstract int LeftPlace(int lane, int outer, int length);

    /// <summary>The chunk that a lane points to for two right fragments at (0, outer).</summary>
    static abstract int RightPlace(int lane, int outer, int length);

    /// <summary>The left fragment <paramref name="sixteens"/> times 16 rows further; a constant from 0 to 3.</summary>
    static abstract LeftFragment Left(ArrayView<Words4> shared, int place, int sixteens);

    /// <summary>The right fragments <paramref name="sixteens"/> times 16 columns further; a constant, 0 or 1.</summary>
    static abstract RightFragments Right(ArrayView<Words4> shared, int place, int sixteens);
}

/// <summary>Neighbours in memory are neighbours along k: four chunks to each row or column.</summary>
internal readonly struct DepthChunks : ITileLayout
{
    public static int AlongDepth => 1;
    public static int Outer(int chunk, int length) => chunk >> 2;
    public static int Depth(int chunk, int length) => (chunk & 3) << 3;
    public static int Place(int outer, int depth, int length) => (outer << 2) + ((depth >> 3) ^ ((outer >> 1) & 3));
    public static int SecondHalf(int place, int length) => place ^ 2;
    public static int LeftPlace(int lane, int outer, int length) => Place(outer + (lane & 15), (lane >> 4) << 3, length);
    public static int RightPlace(int lane, int outer, int length) => Place(outer + (lane & 7) + ((lane >> 4) << 3), ((lane >> 3) & 1) << 3, length);
    public static LeftFragment Left(ArrayView<Words4> shared, int place, int sixteens) => TensorCore.LoadLeft(ref shared[place], sixteens * 64);
    public static RightFragments Right(ArrayView<Words4> shared, int place, int sixteens) => TensorCore.LoadRight(ref shared[place], sixteens * 64);
}

/// <summary>Neighbours in memory are neighbouring rows or columns: 8 or 16 chunks to each value of k. Matrices are transposed as they are loaded.</summary>
internal readonly struct OuterChunks : ITileLayout
{
    public static int AlongDepth => 0;
    public static int Outer(int chunk, int length) => (chunk & ((length >> 3) - 1)) << 3;
    public static int Depth(int chunk, int length) => chunk >> Shift(length);
    public static int Place(int outer, int depth, int length) => (depth << Shift(length)) + ((outer >> 3) ^ (depth & 7));
    public static int SecondHalf(int place, int length) => place + (16 << Shift(length));
    public static int LeftPlace(int lane, int outer, int length) => Place(outer + (((lane >> 3) & 1) << 3), (lane & 7) + ((lane >> 4) << 3), length);
    public static int RightPlace(int lane, int outer, int length) => Place(outer + ((lane >> 4) << 3), lane & 15, length);
    public static LeftFragment Left(ArrayView<Words4> shared, int place, int sixteens) => TensorCore.LoadLeftTransposed(ref shared[place ^ (sixteens * 2)], 0);
    public static RightFragments Right(ArrayView<Words4> shared, int place, int sixteens) => TensorCore.LoadRightTransposed(ref shared[place ^ (sixteens * 2)], 0);

    /// <summary>The logarithm of the chunks to a value of k.</summary>
    private static int Shift(int length) => length == 128 ? 4 : 3;
}
