using ILGPU;
using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

/// <summary>What a thread of a <see cref="PortableProduct"/> brings of an operand: the same four rows for all k (of A; of B four columns, which are rows of its transpose), and four k at a time.</summary>
/// <param name="Row0">What its first row contributes to places.</param>
/// <param name="Outer">The first row, of which there are <paramref name="OuterEnd"/>.</param>
/// <param name="OuterQuad">The same in the tile, in quads.</param>
/// <param name="Depth">Its first k, of those that go through shared memory together.</param>
internal readonly record struct PortableOperand<TOperand>(TOperand Operand, OperandPart Row0, OperandPart Row1, OperandPart Row2, OperandPart Row3, int Outer, int OuterEnd, int OuterQuad, int Depth)
    where TOperand : struct, IGpuOperand
{
    /// <summary>Neighbouring threads bring what adjoins in memory.</summary>
    /// <param name="firstOuter">The tile's first row.</param>
    public static PortableOperand<TOperand> Of<TTile>(TOperand operand, int thread, int firstOuter, int outerEnd) where TTile : struct, IPortableTile<TTile>
    {
        int depthShift = 6 - TTile.QuadShift; // with 2^depthShift quads of k there is a block for each of 64 threads
        bool alongDepth = operand.ColumnsAdjoin != 0;
        int outerQuad = alongDepth ? thread >> depthShift : thread & ((1 << TTile.QuadShift) - 1), depthQuad = alongDepth ? thread & ((1 << depthShift) - 1) : thread >> TTile.QuadShift;
        int outer = firstOuter + outerQuad * 4;
        return new(operand, operand.Row(outer), operand.Row(outer + 1), operand.Row(outer + 2), operand.Row(outer + 3), outer, outerEnd, outerQuad, depthQuad * 4);
    }

    /// <summary>Puts what a reader gave to shared memory: a line for each k.</summary>
    /// <param name="pitch">From one to the next, in quads.</param>
    public static void Store(PortableOperand<TOperand> from, Block values, ArrayView<Quad> shared, int pitch)
    {
        int place = from.Depth * pitch + from.OuterQuad;
        shared[place] = values.Row0;
        shared[place + pitch] = values.Row1;
        shared[place + 2 * pitch] = values.Row2;
        shared[place + 3 * pitch] = values.Row3;
    }
}

/// <summary>How a thread reads its block. Without branches, so that all loads are on their way at once: where there is no element, the source's first is read and not taken.</summary>
internal interface IBlockReader
{
    /// <param name="start">Added to all places.</param>
    /// <param name="depth">The block's first k.</param>
    /// <returns>A row for each k; zeros beyond the ends.</returns>
    static abstract Block Read<T, TStorage, TOperand>(PortableOperand<TOperand> block, ArrayView<T> from, int start, int depth, int depthEnd)
        where T : unmanaged where TStorage : struct, IStorage<T> where TOperand : struct, IGpuOperand;
}

/// <summary>Any operand.</summary>
internal readonly struct ByElements : IBlockReader
{
    public static Block Read<T, TStorage, TOperand>(PortableOperand<TOperand> block, ArrayView<T> from, int start, int depth, int depthEnd)
        where T : unmanaged where TStorage : struct, IStorage<T> where TOperand : struct, IGpuOperand => new(
        Row<T, TStorage, TOperand>(block, from, start, depth, depthEnd), Row<T, TStorage, TOperand>(block, from, start, depth + 1, depthEnd),
        Row<T, TStorage, TOperand>(block, from, start, depth + 2, depthEnd), Row<T, TStorage, TOperand>(block, from, start, depth + 3, depthEnd));

    private static Quad Row<T, TStorage, TOperand>(PortableOperand<TOperand> block, ArrayView<T> from, int start, int depth, int depthEnd)
        where T : unmanaged where TStorage : struct, IStorage<T> where TOperand : struct, IGpuOperand
    {
        OperandPart column = block.Operand.Column(depth);
        bool inside = depth < depthEnd;
        return new(
            Element<T, TStorage, TOperand>(block, from, start, block.Row0, column, inside & block.Outer < block.OuterEnd), Element<T, TStorage, TOperand>(block, from, start, block.Row1, column, inside & block.Outer + 1 < block.OuterEnd),
            Element<T, TStorage, TOperand>(block, from, start, block.Row2, column, inside & block.Outer + 2 < block.OuterEnd), Element<T, TStorage, TOperand>(block, from, start, block.Row3, column, inside & block.Outer + 3 < block.OuterEnd));
    }

    private static float Element<T, TStorage, TOperand>(PortableOperand<TOperand> block, ArrayView<T> from, int start, OperandPart row, OperandPart column, bool inside)
        where T : unmanaged where TStorage : struct, IStorage<T> where TOperand : struct, IGpuOperand
    {
        bool has = inside & block.Operand.Has(row, column);
        return Utilities.Select(has, TStorage.Load(from[Utilities.Select(has, start + row.X + column.X, 0)]), 0f);
    }
}

/// <summary>An operand of whole, aligned lines of four: a quarter of the loads.</summary>
internal readonly struct ByQuads : IBlockReader
{
    public static Block Read<T, TStorage, TOperand>(PortableOperand<TOperand> block, ArrayView<T> from, int start, int depth, int depthEnd)
        where T : unmanaged where TStorage : struct, IStorage<T> where TOperand : struct, IGpuOperand
    {
        bool alongDepth = block.Operand.ColumnsAdjoin != 0;
        return Block.TransposedIf(alongDepth, new(
            Line<T, TStorage, TOperand>(block, from, start, block.Row0, 0, depth, depthEnd), Line<T, TStorage, TOperand>(block, from, start, OperandPart.Select(alongDepth, block.Row1, block.Row0), 1, depth, depthEnd),
            Line<T, TStorage, TOperand>(block, from, start, OperandPart.Select(alongDepth, block.Row2, block.Row0), 2, depth, depthEnd), Line<T, TStorage, TOperand>(block, from, start, OperandPart.Select(alongDepth, block.Row3, block.Row0), 3, depth, depthEnd)));
    }

    /// <param name="line">Of the four: a row where neighbours run along k, else a k.</param>
    private static Quad Line<T, TStorage, TOperand>(PortableOperand<TOperand> block, ArrayView<T> from, int start, OperandPart row, int line, int depth, int depthEnd)
        where T : unmanaged where TStorage : struct, IStorage<T> where TOperand : struct, IGpuOperand
    {
        int outer = block.Outer + line * block.Operand.ColumnsAdjoin, k = depth + line * (1 - block.Operand.ColumnsAdjoin);
        OperandPart column = block.Operand.Column(k);
        bool has = (outer < block.OuterEnd) & (k < depthEnd) & block.Operand.Has(row, column);
        Quad four = TStorage.Load4(from, Utilities.Select(has, start + row.X + column.X, 0));
        return new(Utilities.Select(has, four.A, 0f), Utilities.Select(has, four.B, 0f), Utilities.Select(has, four.C, 0f), Utilities.Select(has, four.D, 0f));
    }
}
