using ILGPU;
using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// What one thread does for each tile of an operand of <see cref="WarpGroupProduct"/>: two, four or eight chunks, a stride apart. It keeps in registers what does not change with k: one
/// part where lines run along the outer direction, and one for each chunk where they run along k.
/// </summary>
internal readonly struct GroupCopy<TOperand, TLines>(OperandPart p0, OperandPart p1, OperandPart p2, OperandPart p3, OperandPart p4, OperandPart p5, OperandPart p6, OperandPart p7)
    where TOperand : struct, IGpuOperand where TLines : struct, ISwizzledLines
{
    private readonly OperandPart _p0 = p0, _p1 = p1, _p2 = p2, _p3 = p3, _p4 = p4, _p5 = p5, _p6 = p6, _p7 = p7;

    /// <param name="offset">Added to every place: where the product's operand begins.</param>
    /// <param name="first">The tile's first outer element in the product.</param>
    /// <param name="length">The tile's outer elements: a constant, as the number of threads.</param>
    public static GroupCopy<TOperand, TLines> Of(WholeChunks<TOperand> tile, int offset, int first, int length, int thread, int threads)
    {
        int outer = first + TLines.Outer(thread, length), stride = TLines.AlongDepth * TLines.Stride(threads, length);
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
    /// <param name="depth">Its first k.</param>
    public static void Start<T>(GroupCopy<TOperand, TLines> copy, ArrayView<T> from, WholeChunks<TOperand> tile, ArrayView<Words4> shared, int target, int first, int outerEnd, int depth, int depthEnd, int length, int thread, int threads)
        where T : unmanaged
    {
        int outer = TLines.Outer(thread, length), inner = TLines.Depth(thread, length), place = target + TLines.Place(outer, inner);
        if (TLines.AlongDepth != 0)
            AlongDepth(copy, from, tile, shared, place, first + outer, outerEnd, depth + inner, depthEnd, length, threads);
        else
            Across(copy, from, tile, shared, place, first + outer, outerEnd, depth + inner, depthEnd, length, threads);
    }

    private static void AlongDepth<T>(GroupCopy<TOperand, TLines> copy, ArrayView<T> from, WholeChunks<TOperand> tile, ArrayView<Words4> shared, int target, int outer, int outerEnd, int depth, int depthEnd, int length, int threads)
        where T : unmanaged
    {
        var column = WholeChunks<TOperand>.Depth(tile, depth);
        // Rows beyond the end are none of a tile whose k has ended.
        int end = Utilities.Select(depth < depthEnd, outerEnd, 0), stride = TLines.Stride(threads, length);
        Chunk(from, tile, shared, target, copy._p0, column, outer < end);
        Chunk(from, tile, shared, target + threads, copy._p1, column, outer + stride < end);
        if (length * 8 == 2 * threads) return;
        Chunk(from, tile, shared, target + 2 * threads, copy._p2, column, outer + 2 * stride < end);
        Chunk(from, tile, shared, target + 3 * threads, copy._p3, column, outer + 3 * stride < end);
        if (length * 8 == 4 * threads) return;
        Chunk(from, tile, shared, target + 4 * threads, copy._p4, column, outer + 4 * stride < end);
        Chunk(from, tile, shared, target + 5 * threads, copy._p5, column, outer + 5 * stride < end);
        Chunk(from, tile, shared, target + 6 * threads, copy._p6, column, outer + 6 * stride < end);
        Chunk(from, tile, shared, target + 7 * threads, copy._p7, column, outer + 7 * stride < end);
    }

    private static void Across<T>(GroupCopy<TOperand, TLines> copy, ArrayView<T> from, WholeChunks<TOperand> tile, ArrayView<Words4> shared, int target, int outer, int outerEnd, int depth, int depthEnd, int length, int threads)
        where T : unmanaged
    {
        int end = Utilities.Select(outer < outerEnd, depthEnd, 0), stride = TLines.Stride(threads, length);
        Line(from, tile, shared, target, copy._p0, depth, end);
        Line(from, tile, shared, target + stride * 8, copy._p0, depth + stride, end);
        if (length * 8 == 2 * threads) return;
        Line(from, tile, shared, target + 2 * stride * 8, copy._p0, depth + 2 * stride, end);
        Line(from, tile, shared, target + 3 * stride * 8, copy._p0, depth + 3 * stride, end);
        if (length * 8 == 4 * threads) return;
        Line(from, tile, shared, target + 4 * stride * 8, copy._p0, depth + 4 * stride, end);
        Line(from, tile, shared, target + 5 * stride * 8, copy._p0, depth + 5 * stride, end);
        Line(from, tile, shared, target + 6 * stride * 8, copy._p0, depth + 6 * stride, end);
        Line(from, tile, shared, target + 7 * stride * 8, copy._p0, depth + 7 * stride, end);
    }

    private static void Line<T>(ArrayView<T> from, WholeChunks<TOperand> tile, ArrayView<Words4> shared, int target, OperandPart part, int depth, int end) where T : unmanaged =>
        Chunk(from, tile, shared, target, part, WholeChunks<TOperand>.Depth(tile, depth), depth < end);

    private static void Chunk<T>(ArrayView<T> from, WholeChunks<TOperand> tile, ArrayView<Words4> shared, int target, OperandPart part, OperandPart depth, bool inside) where T : unmanaged =>
        WholeChunks<TOperand>.Copy(tile, from, shared, target, part, depth, inside);
}
