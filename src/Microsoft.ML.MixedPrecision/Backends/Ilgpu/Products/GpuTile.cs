using ILGPU;
using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// An operand as a tensor-core product sees it, turned so that its rows are the product's rows (or columns) and its columns are k: a way to
/// bring tiles of it to shared memory, and a layout to read them there.
/// </summary>
internal interface IGpuTile<TSelf> where TSelf : struct, IGpuTile<TSelf>
{
    /// <summary>1 where a chunk takes as many instructions as it has elements.</summary>
    static abstract int ByElements { get; }

    /// <summary>What an outer element contributes to places; the same for all k. To its X may be added what all places have in common.</summary>
    static abstract OperandPart Outer(TSelf tile, int outer);

    /// <summary>Starts to bring a chunk of eight to shared memory; zeros beyond the ends.</summary>
    /// <param name="target">Where the chunk goes.</param>
    /// <param name="part">What <see cref="Outer"/> gave.</param>
    /// <param name="outer">The chunk's first outer element; it exists below <paramref name="outerEnd"/>.</param>
    /// <param name="depth">Its first k; it exists below <paramref name="depthEnd"/>.</param>
    static abstract void Copy<T>(TSelf tile, ArrayView<T> from, ArrayView<Words4> shared, int target, OperandPart part, int outer, int outerEnd, int depth, int depthEnd) where T : unmanaged;
}

/// <summary>A tile that a kernel makes itself, of an operand that only it knows.</summary>
internal interface IGpuTileOf<TSelf, TOperand> where TSelf : struct, IGpuTileOf<TSelf, TOperand> where TOperand : struct, IGpuOperand
{
    static abstract TSelf Of(TOperand operand);
}

/// <summary>A tile whose chunks are whole and aligned in memory: 16 bytes at a time, past the registers.</summary>
internal readonly struct WholeChunks<TOperand>(TOperand operand) : IGpuTile<WholeChunks<TOperand>>, IGpuTileOf<WholeChunks<TOperand>, TOperand>
    where TOperand : struct, IGpuOperand
{
    private readonly TOperand _operand = operand;

    public static int ByElements => 0;

    public static WholeChunks<TOperand> Of(TOperand operand) => new(operand);

    public static OperandPart Outer(WholeChunks<TOperand> tile, int outer) => tile._operand.Row(outer);

    /// <summary>What a k contributes to places.</summary>
    public static OperandPart Depth(WholeChunks<TOperand> tile, int depth) => tile._operand.Column(depth);

    public static void Copy<T>(WholeChunks<TOperand> tile, ArrayView<T> from, ArrayView<Words4> shared, int target, OperandPart part, int outer, int outerEnd, int depth, int depthEnd) where T : unmanaged =>
        Copy(tile, from, ref shared[target], 0, part, tile._operand.Column(depth), (outer < outerEnd) & (depth < depthEnd));

    /// <summary>Starts to bring a chunk of which both parts are known, or zeros where it lies beyond the ends.</summary>
    /// <param name="offset">Chunks to go on from the target; a constant.</param>
    public static void Copy<T>(WholeChunks<TOperand> tile, ArrayView<T> from, ref Words4 target, int offset, OperandPart outer, OperandPart depth, bool inside) where T : unmanaged =>
        TensorCore.CopyAsync(ref target, offset, ref from.Cast<ushort>()[0], outer.X + depth.X, inside & tile._operand.Has(outer, depth));
}

/// <summary>A tile of any other operand, such as an image of three channels: element by element, through the registers. Several times slower.</summary>
internal readonly struct SingleElements<TOperand, TLayout>(TOperand operand) : IGpuTile<SingleElements<TOperand, TLayout>>, IGpuTileOf<SingleElements<TOperand, TLayout>, TOperand>
    where TOperand : struct, IGpuOperand where TLayout : struct, ITileLayout
{
    private readonly TOperand _operand = operand;

    public static SingleElements<TOperand, TLayout> Of(TOperand operand) => new(operand);

    public static int ByElements => 1;

    public static OperandPart Outer(SingleElements<TOperand, TLayout> tile, int outer) => default;

    public static void Copy<T>(SingleElements<TOperand, TLayout> tile, ArrayView<T> from, ArrayView<Words4> shared, int target, OperandPart part, int outer, int outerEnd, int depth, int depthEnd) where T : unmanaged
    {
        var halves = from.Cast<ushort>();
        shared[target] = new(
            Pair(tile, halves, part.X, outer, outerEnd, depth, depthEnd, 0), Pair(tile, halves, part.X, outer, outerEnd, depth, depthEnd, 2),
            Pair(tile, halves, part.X, outer, outerEnd, depth, depthEnd, 4), Pair(tile, halves, part.X, outer, outerEnd, depth, depthEnd, 6));
    }

    private static uint Pair(SingleElements<TOperand, TLayout> tile, ArrayView<ushort> from, int offset, int outer, int outerEnd, int depth, int depthEnd, int step) =>
        Bits(tile, from, offset, outer, outerEnd, depth, depthEnd, step) | Bits(tile, from, offset, outer, outerEnd, depth, depthEnd, step + 1) << 16;

    /// <summary>Without a branch, so that all eight loads are on their way at once: where there is no element, the source's first is read and not taken.</summary>
    private static uint Bits(SingleElements<TOperand, TLayout> tile, ArrayView<ushort> from, int offset, int outer, int outerEnd, int depth, int depthEnd, int step)
    {
        int o = outer + (1 - TLayout.AlongDepth) * step, d = depth + TLayout.AlongDepth * step;
        OperandPart row = tile._operand.Row(o), column = tile._operand.Column(d);
        bool has = (o < outerEnd) & (d < depthEnd) & tile._operand.Has(row, column);
        return Utilities.Select(has, (uint)from[Utilities.Select(has, offset + row.X + column.X, 0)], 0u);
    }
}
