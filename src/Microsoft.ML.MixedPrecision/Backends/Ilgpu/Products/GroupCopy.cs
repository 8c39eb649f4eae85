using ILGPU;
using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// What one thread does for each tile of an operand of <see cref="WarpGroupProduct"/>: two, four or eight chunks. It keeps in registers what does not change with k: a part for
/// each line where lines run along k, and one for each panel where they run along the outer direction.
/// <para>
/// Every instruction counts: the tensor cores hold up those of the threads beside them. With 257 instructions a step for each warp, of which 138 were for copies, 4,096 cubed
/// took 1.5 times as long on an H100 as without its copies.
/// </para>
/// </summary>
internal readonly struct GroupCopy<TOperand, TLines>(OperandPart p0, OperandPart p1, OperandPart p2, OperandPart p3, OperandPart p4, OperandPart p5, OperandPart p6, OperandPart p7)
    where TOperand : struct, IGpuOperand where TLines : struct, ISwizzledLines
{
    /// <summary>Chunks of a panel.</summary>
    private const int Panel = 512;

    private readonly OperandPart _p0 = p0, _p1 = p1, _p2 = p2, _p3 = p3, _p4 = p4, _p5 = p5, _p6 = p6, _p7 = p7;

    /// <param name="offset">Added to every place: where the product's operand begins.</param>
    /// <param name="first">The tile's first outer element in the product.</param>
    /// <param name="threads">A constant.</param>
    public static GroupCopy<TOperand, TLines> Of(WholeChunks<TOperand> tile, int offset, int first, int thread, int threads)
    {
        int outer = first + TLines.Outer(thread), stride = TLines.AlongDepth != 0 ? threads >> 3 : 64;
        return new(
            Part(tile, offset, outer), Part(tile, offset, outer + stride), Part(tile, offset, outer + 2 * stride), Part(tile, offset, outer + 3 * stride),
            Part(tile, offset, outer + 4 * stride), Part(tile, offset, outer + 5 * stride), Part(tile, offset, outer + 6 * stride), Part(tile, offset, outer + 7 * stride));
    }

    private static OperandPart Part(WholeChunks<TOperand> tile, int offset, int outer)
    {
        var part = WholeChunks<TOperand>.Outer(tile, outer);
        return new(part.X + offset, part.Y, part.Z);
    }

    /// <summary>Starts the copies of a tile.</summary>
    /// <param name="target">Where the tile begins in shared memory.</param>
    /// <param name="outerEnd">The product's outer elements from the tile's first on.</param>
    /// <param name="depth">Its first k.</param>
    /// <param name="length">The tile's outer elements: a constant, as the number of threads.</param>
    public static void Start<T>(GroupCopy<TOperand, TLines> copy, ArrayView<T> from, WholeChunks<TOperand> tile, ArrayView<Words4> shared, int target, int outerEnd, int depth, int depthEnd, int length, int thread, int threads)
        where T : unmanaged
    {
        int outer = TLines.Outer(thread), inner = TLines.Depth(thread);
        ref var first = ref shared[target + TLines.Place(outer, inner)];
        if (TLines.AlongDepth != 0)
            AlongDepth(copy, from, tile, ref first, outerEnd - outer, depth + inner, depthEnd, length, threads);
        else
            Across(copy, from, tile, ref first, outerEnd - outer, depth + inner, depthEnd, length, threads);
    }

    /// <param name="rows">From the thread's first on.</param>
    private static void AlongDepth<T>(GroupCopy<TOperand, TLines> copy, ArrayView<T> from, WholeChunks<TOperand> tile, ref Words4 target, int rows, int depth, int depthEnd, int length, int threads)
        where T : unmanaged
    {
        var column = WholeChunks<TOperand>.Depth(tile, depth);
        // Rows beyond the end are none of a tile whose k has ended.
        int left = Utilities.Select(depth < depthEnd, rows, 0), stride = threads >> 3;
        WholeChunks<TOperand>.Copy(tile, from, ref target, 0, copy._p0, column, left > 0);
        WholeChunks<TOperand>.Copy(tile, from, ref target, threads, copy._p1, column, left > stride);
        if (length * 8 == 2 * threads) return;
        WholeChunks<TOperand>.Copy(tile, from, ref target, 2 * threads, copy._p2, column, left > 2 * stride);
        WholeChunks<TOperand>.Copy(tile, from, ref target, 3 * threads, copy._p3, column, left > 3 * stride);
        if (length * 8 == 4 * threads) return;
        WholeChunks<TOperand>.Copy(tile, from, ref target, 4 * threads, copy._p4, column, left > 4 * stride);
        WholeChunks<TOperand>.Copy(tile, from, ref target, 5 * threads, copy._p5, column, left > 5 * stride);
        WholeChunks<TOperand>.Copy(tile, from, ref target, 6 * threads, copy._p6, column, left > 6 * stride);
        WholeChunks<TOperand>.Copy(tile, from, ref target, 7 * threads, copy._p7, column, left > 7 * stride);
    }

    /// <param name="columns">From the thread's first on.</param>
    private static void Across<T>(GroupCopy<TOperand, TLines> copy, ArrayView<T> from, WholeChunks<TOperand> tile, ref Words4 target, int columns, int depth, int depthEnd, int length, int threads)
        where T : unmanaged
    {
        int stride = threads >> 3;
        Line(copy, from, tile, ref target, 0, columns, depth, depthEnd, length);
        Line(copy, from, tile, ref target, threads, columns, depth + stride, depthEnd, length);
        if (stride == 32) return;
        Line(copy, from, tile, ref target, 2 * threads, columns, depth + 2 * stride, depthEnd, length);
        Line(copy, from, tile, ref target, 3 * threads, columns, depth + 3 * stride, depthEnd, length);
    }

    /// <summary>A value of k in all panels.</summary>
    private static void Line<T>(GroupCopy<TOperand, TLines> copy, ArrayView<T> from, WholeChunks<TOperand> tile, ref Words4 target, int offset, int columns, int depth, int depthEnd, int length) where T : unmanaged
    {
        var line = WholeChunks<TOperand>.Depth(tile, depth);
        int left = Utilities.Select(depth < depthEnd, columns, 0);
        WholeChunks<TOperand>.Copy(tile, from, ref target, offset, copy._p0, line, left > 0);
        if (length == 64) return;
        WholeChunks<TOperand>.Copy(tile, from, ref target, offset + Panel, copy._p1, line, left > 64);
        if (length == 128) return;
        WholeChunks<TOperand>.Copy(tile, from, ref target, offset + 2 * Panel, copy._p2, line, left > 128);
        WholeChunks<TOperand>.Copy(tile, from, ref target, offset + 3 * Panel, copy._p3, line, left > 192);
    }
}
