using ILGPU;
using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Four rows of four: what a thread brings of an operand at once, and what it sums of a quarter of a tile. A structure, because ILGPU keeps those in registers.</summary>
internal readonly record struct Block(Quad Row0, Quad Row1, Quad Row2, Quad Row3)
{
    public const int Side = 4;

    /// <summary>Without a branch.</summary>
    public static Block TransposedIf(bool transpose, Block x) => new(
        Select(transpose, new(x.Row0.A, x.Row1.A, x.Row2.A, x.Row3.A), x.Row0), Select(transpose, new(x.Row0.B, x.Row1.B, x.Row2.B, x.Row3.B), x.Row1),
        Select(transpose, new(x.Row0.C, x.Row1.C, x.Row2.C, x.Row3.C), x.Row2), Select(transpose, new(x.Row0.D, x.Row1.D, x.Row2.D, x.Row3.D), x.Row3));

    private static Quad Select(bool takeFirst, Quad first, Quad second) => new(
        Utilities.Select(takeFirst, first.A, second.A), Utilities.Select(takeFirst, first.B, second.B), Utilities.Select(takeFirst, first.C, second.C), Utilities.Select(takeFirst, first.D, second.D));

    /// <summary>Adds the product of a column and a row.</summary>
    public static Block MultiplyAdd(Quad column, Quad row, Block sums) => new(
        Quad.MultiplyAdd(column.A, row, sums.Row0), Quad.MultiplyAdd(column.B, row, sums.Row1), Quad.MultiplyAdd(column.C, row, sums.Row2), Quad.MultiplyAdd(column.D, row, sums.Row3));
}

/// <summary>Takes finished sums.</summary>
internal interface IBlockTarget
{
    void Store(Block sums, int row, int column);
}

/// <summary>The tile of C that 64 threads make: they lie 8 x 8 over each 32 x 32 of it, with 4 x 4 sums for each.</summary>
/// <typeparam name="TSelf">The sums of a thread.</typeparam>
internal interface IPortableTile<TSelf> where TSelf : struct, IPortableTile<TSelf>
{
    /// <summary>Rows, and columns.</summary>
    static abstract int Side { get; }

    /// <summary>2^QuadShift is the quads along a side: see <see cref="IGpuVector{TSelf}.Shift"/>.</summary>
    static abstract int QuadShift { get; }

    static abstract TSelf Zero { get; }

    /// <summary>Adds the products of one k: of a thread's quads, which lie 32 elements from each other.</summary>
    static abstract TSelf MultiplyAdd(TSelf sums, ArrayView<Quad> a, ArrayView<Quad> b, int place);

    /// <param name="row">The thread's first.</param>
    static abstract void Store<TTarget>(TSelf sums, TTarget target, int row, int column) where TTarget : struct, IBlockTarget;
}

/// <summary>32 x 32, for a C that larger tiles would leave mostly empty, or that has too few of them for a GPU. Two loads of quads for 16 products.</summary>
internal readonly record struct SmallTile(Block Sums) : IPortableTile<SmallTile>
{
    public static int Side => 32;
    public static int QuadShift => 3;
    public static SmallTile Zero => new(new(new(0f, 0f, 0f, 0f), new(0f, 0f, 0f, 0f), new(0f, 0f, 0f, 0f), new(0f, 0f, 0f, 0f)));

    public static SmallTile MultiplyAdd(SmallTile sums, ArrayView<Quad> a, ArrayView<Quad> b, int place) => new(Block.MultiplyAdd(a[place], b[place], sums.Sums));

    public static void Store<TTarget>(SmallTile sums, TTarget target, int row, int column) where TTarget : struct, IBlockTarget => target.Store(sums.Sums, row, column);
}

/// <summary>64 x 64: four loads of quads for 64 products, which is as much as shared memory gives while an SM multiplies.</summary>
internal readonly record struct LargeTile(Block TopLeft, Block TopRight, Block BottomLeft, Block BottomRight) : IPortableTile<LargeTile>
{
    private const int Half = 32, HalfQuads = Half / 4;

    public static int Side => 2 * Half;
    public static int QuadShift => 4;
    public static LargeTile Zero => new(SmallTile.Zero.Sums, SmallTile.Zero.Sums, SmallTile.Zero.Sums, SmallTile.Zero.Sums);

    public static LargeTile MultiplyAdd(LargeTile sums, ArrayView<Quad> a, ArrayView<Quad> b, int place)
    {
        Quad top = a[place], bottom = a[place + HalfQuads], left = b[place], right = b[place + HalfQuads];
        return new(Block.MultiplyAdd(top, left, sums.TopLeft), Block.MultiplyAdd(top, right, sums.TopRight), Block.MultiplyAdd(bottom, left, sums.BottomLeft), Block.MultiplyAdd(bottom, right, sums.BottomRight));
    }

    public static void Store<TTarget>(LargeTile sums, TTarget target, int row, int column) where TTarget : struct, IBlockTarget
    {
        target.Store(sums.TopLeft, row, column);
        target.Store(sums.TopRight, row, column + Half);
        target.Store(sums.BottomLeft, row + Half, column);
        target.Store(sums.BottomRight, row + Half, column + Half);
    }
}
