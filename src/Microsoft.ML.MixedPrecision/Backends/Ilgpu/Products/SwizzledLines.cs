using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// How an operand's tile lies in shared memory for <see cref="WarpGroup"/>: 64 values of k ("depth") by 64 to 256 rows or columns of the product ("outer"), in lines of
/// 128 bytes, eight chunks of eight neighbours. A line's chunks change places by its number, modulo 8: the swizzle that the hardware undoes, and that spreads both
/// what the threads write and what multiplications read over the banks. 64 lines are a panel of 512 chunks.
/// <para>
/// A thread copies the same chunk of every so many lines: what it needs to know of one direction stays the same for all of them.
/// </para>
/// </summary>
internal interface ISwizzledLines
{
    /// <summary>1 where lines run along k, 0 where they run along the other direction.</summary>
    static abstract int AlongDepth { get; }

    /// <summary>Where a thread's first chunk begins in the tile.</summary>
    static abstract int Outer(int thread, int length);

    /// <inheritdoc cref="Outer"/>
    static abstract int Depth(int thread, int length);

    /// <summary>From one of a thread's chunks to its next, in elements of the direction that lines do not run along.</summary>
    static abstract int Stride(int threads, int length);

    /// <summary>The place of the chunk that holds an element.</summary>
    static abstract int Place(int outer, int depth);
}

/// <summary>A line for each row or column: 64 neighbours along k.</summary>
internal readonly struct DepthLines : ISwizzledLines
{
    public static int AlongDepth => 1;
    public static int Outer(int thread, int length) => thread >> 3;
    public static int Depth(int thread, int length) => (thread & 7) << 3;
    public static int Stride(int threads, int length) => threads >> 3;
    public static int Place(int outer, int depth) => (outer << 3) + ((depth >> 3) ^ (outer & 7));
}

/// <summary>Panels of 64 rows or columns, with a line for each value of k.</summary>
internal readonly struct OuterLines : ISwizzledLines
{
    public static int AlongDepth => 0;
    public static int Outer(int thread, int length) => (thread & ((length >> 3) - 1)) << 3;
    public static int Depth(int thread, int length) => thread >> Shift(length);
    public static int Stride(int threads, int length) => threads >> Shift(length);
    public static int Place(int outer, int depth) => ((outer >> 6) << 9) + (depth << 3) + (((outer >> 3) & 7) ^ (depth & 7));

    /// <summary>The logarithm of the chunks to a value of k.</summary>
    private static int Shift(int length) => length == 256 ? 5 : length == 128 ? 4 : 3;
}
