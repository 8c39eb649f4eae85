using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// How an operand's tile lies in shared memory for <see cref="WarpGroup"/>: 64 values of k ("depth") by 64 to 256 rows or columns of the product ("outer"), in lines of
/// 128 bytes, eight chunks of eight neighbours. A line's chunks change places by its number, modulo 8: the swizzle that the hardware undoes, and that spreads both
/// what the threads write and what multiplications read over the banks. 64 lines are a panel of 512 chunks.
/// <para>
/// Eight neighbouring threads copy a line. A thread copies the same chunk of every so many lines, a multiple of eight, so that its chunks' places are a constant apart.
/// </para>
/// </summary>
internal interface ISwizzledLines
{
    /// <summary>1 where lines run along k, 0 where they run along the other direction.</summary>
    static abstract int AlongDepth { get; }

    /// <summary>Where a thread's first chunk begins in the tile.</summary>
    static abstract int Outer(int thread);

    /// <inheritdoc cref="Outer"/>
    static abstract int Depth(int thread);

    /// <summary>The place of the chunk that holds an element.</summary>
    static abstract int Place(int outer, int depth);
}

/// <summary>A line for each row or column: 64 neighbours along k.</summary>
internal readonly struct DepthLines : ISwizzledLines
{
    public static int AlongDepth => 1;
    public static int Outer(int thread) => thread >> 3;
    public static int Depth(int thread) => (thread & 7) << 3;
    public static int Place(int outer, int depth) => (outer << 3) + ((depth >> 3) ^ (outer & 7));
}

/// <summary>Panels of 64 rows or columns, with a line for each value of k.</summary>
internal readonly struct OuterLines : ISwizzledLines
{
    public static int AlongDepth => 0;
    public static int Outer(int thread) => (thread & 7) << 3;
    public static int Depth(int thread) => thread >> 3;
    public static int Place(int outer, int depth) => ((outer >> 6) << 9) + (depth << 3) + (((outer >> 3) & 7) ^ (depth & 7));
}
