using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// What one thread does for each tile of an operand: two or four chunks of eight, always at the same outer elements, of which it keeps in registers
/// what they contribute to places.
/// </summary>
internal readonly struct TileCopy<TTile, TLayout>(OperandPart part0, OperandPart part1, OperandPart part2, OperandPart part3)
    where TTile : struct, IGpuTile<TTile> where TLayout : struct, ITileLayout
{
    private readonly OperandPart _part0 = part0, _part1 = part1, _part2 = part2, _part3 = part3;

    /// <param name="offset">Added to every place: where the product's operand begins.</param>
    /// <param name="first">The tile's first outer element in the product.</param>
    /// <param name="length">The tile's outer elements: a constant, as the number of threads.</param>
    public static TileCopy<TTile, TLayout> Of(TTile tile, int offset, int first, int length, int thread, int threads) => new(
        Part(tile, offset, first + TLayout.Outer(thread, length)), Part(tile, offset, first + TLayout.Outer(thread + threads, length)),
        Part(tile, offset, first + TLayout.Outer(thread + 2 * threads, length)), Part(tile, offset, first + TLayout.Outer(thread + 3 * threads, length)));

    private static OperandPart Part(TTile tile, int offset, int outer)
    {
        var part = TTile.Outer(tile, outer);
        return new(part.X + offset, part.Y, part.Z);
    }

    /// <summary>Starts the copies of a tile.</summary>
    public static void Start<T>(TileCopy<TTile, TLayout> copy, ArrayView<T> from, TTile tile, ArrayView<Words4> shared, int target, int first, int outerEnd, int depth, int depthEnd, int length, int thread, int threads) where T : unmanaged
    {
        if (TTile.ByElements != 0)
        {
            // One after the other: ptxas would find the places of all chunks first, for which a thread has no registers.
            for (int further = 0; further < length * (TensorProduct.Depth / 8); further += threads)
                Chunk(from, tile, shared, target, copy._part0, first, outerEnd, depth, depthEnd, length, thread, further);
            return;
        }
        Chunk(from, tile, shared, target, copy._part0, first, outerEnd, depth, depthEnd, length, thread, 0);
        Chunk(from, tile, shared, target, copy._part1, first, outerEnd, depth, depthEnd, length, thread, threads);
        if (length * (TensorProduct.Depth / 8) == 2 * threads) return;
        Chunk(from, tile, shared, target, copy._part2, first, outerEnd, depth, depthEnd, length, thread, 2 * threads);
        Chunk(from, tile, shared, target, copy._part3, first, outerEnd, depth, depthEnd, length, thread, 3 * threads);
    }

    private static void Chunk<T>(ArrayView<T> from, TTile tile, ArrayView<Words4> shared, int target, OperandPart part, int first, int outerEnd, int depth, int depthEnd, int length, int thread, int further) where T : unmanaged
    {
        // Along k a thread's chunks all begin at the same k, which is said so that it is taken apart once for all of them, and for both operands.
        int outer = TLayout.Outer(thread + further, length), inner = TLayout.AlongDepth != 0 ? TLayout.Depth(thread, length) : TLayout.Depth(thread + further, length);
        TTile.Copy(tile, from, shared, target + TLayout.Place(outer, inner, length), part, first + outer, outerEnd, depth + inner, depthEnd);
    }
}
