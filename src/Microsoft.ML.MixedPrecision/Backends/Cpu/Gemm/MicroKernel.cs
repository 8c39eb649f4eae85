using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>One vector register of floats. The wrapper costs nothing: the JIT keeps a one-field struct in its register (no spills in the listings).</summary>
internal unsafe interface ILane<TSelf> where TSelf : struct, ILane<TSelf>
{
    static abstract int Width { get; }
    static abstract TSelf Load(float* p);
    static abstract TSelf Broadcast(float* p);
    static abstract TSelf Fma(TSelf x, TSelf y, TSelf sum);
    void Store(float* p);
}

internal readonly unsafe struct Lane512(Vector512<float> v) : ILane<Lane512>
{
    private readonly Vector512<float> _v = v;
    public static int Width => 16;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Lane512 Load(float* p) => new(Vector512.Load(p));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Lane512 Broadcast(float* p) => new(Vector512.Create(*p));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Lane512 Fma(Lane512 x, Lane512 y, Lane512 sum) => new(Vector512.FusedMultiplyAdd(x._v, y._v, sum._v));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public void Store(float* p) => _v.Store(p);
}

internal readonly unsafe struct Lane256(Vector256<float> v) : ILane<Lane256>
{
    private readonly Vector256<float> _v = v;
    public static int Width => 8;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Lane256 Load(float* p) => new(Vector256.Load(p));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Lane256 Broadcast(float* p) => new(Vector256.Create(*p));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Lane256 Fma(Lane256 x, Lane256 y, Lane256 sum) => new(Vector256.FusedMultiplyAdd(x._v, y._v, sum._v));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public void Store(float* p) => _v.Store(p);
}

internal readonly unsafe struct Lane128(Vector128<float> v) : ILane<Lane128>
{
    private readonly Vector128<float> _v = v;
    public static int Width => 4;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Lane128 Load(float* p) => new(Vector128.Load(p));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Lane128 Broadcast(float* p) => new(Vector128.Create(*p));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Lane128 Fma(Lane128 x, Lane128 y, Lane128 sum) => new(Vector128.FusedMultiplyAdd(x._v, y._v, sum._v));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public void Store(float* p) => _v.Store(p);
}

/// <summary>How far apart the rows of a panel of A lie: a constant, so that it folds into the addresses of the broadcasts.</summary>
internal interface ILayout
{
    static abstract int RowStride { get; }

    /// <summary>The first row that lies <see cref="Walk.GapA"/> floats further on: of a strip of image rows a tile's pixels may be the last of one row and the first of the next.</summary>
    static virtual int Split => int.MaxValue;
}

/// <summary>Four rows, then the gap.</summary>
internal readonly struct SplitAt4<TLayout> : ILayout where TLayout : struct, ILayout
{
    public static int RowStride => TLayout.RowStride;
    public static int Split => 4;
}

/// <summary>Eight rows, then the gap.</summary>
internal readonly struct SplitAt8<TLayout> : ILayout where TLayout : struct, ILayout
{
    public static int RowStride => TLayout.RowStride;
    public static int Split => 8;
}

internal static unsafe class PanelRow
{
    /// <summary>Where a row of A is at a step of k; which of the two ways is known to the JIT.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float* Of<TLayout>(float* a, long gap, int row) where TLayout : struct, ILayout =>
        (row < TLayout.Split ? a : a + gap) + row * TLayout.RowStride;
}

/// <summary>Each row contiguous, for operands contiguous along k: packing is a straight conversion, no transposition.</summary>
internal readonly struct ByRow : ILayout
{
    /// <summary>kc is at most 256; 16 floats more make the stride 17 cache lines, so the rows spread over all L1 sets.</summary>
    public const int Stride = Blocking.MaxDepth + 16;
    public static int RowStride => Stride;
}

/// <summary>The rows of one k side by side: operands contiguous along the rows (weight gradients), pixels of one channel.</summary>
internal readonly struct ByStep : ILayout
{
    public static int RowStride => 1;
}

/// <summary>Rows are pixels of an image of 3 channels.</summary>
internal readonly struct ByPixelOf3 : ILayout
{
    public static int RowStride => 3;
}

/// <summary>Rows are pixels of an image of 16 channels.</summary>
internal readonly struct ByPixelOf16 : ILayout
{
    public static int RowStride => 16;
}

/// <summary>Rows are pixels of an image of 32 channels.</summary>
internal readonly struct ByPixelOf32 : ILayout
{
    public static int RowStride => 32;
}

/// <summary>Rows are pixels of an image of 64 channels.</summary>
internal readonly struct ByPixelOf64 : ILayout
{
    public static int RowStride => 64;
}

/// <summary>
/// The way of k through the panels, in floats: <paramref name="Lines"/> lines of <paramref name="Runs"/> runs of
/// <paramref name="Depth"/> steps. A packed panel is one run; a convolution over image rows walks one line for each row of its kernel.
/// </summary>
/// <param name="StepA">From one k of A to the next.</param>
/// <param name="StepB">From one k of B to the next.</param>
/// <param name="JumpA">From the end of a run of A to the start of the next.</param>
/// <param name="JumpB">The same for B.</param>
/// <param name="LineA">From the end of a line of A, its last jump done, to the start of the next.</param>
/// <param name="LineB">The same for B.</param>
/// <param name="GapA">Between the rows of A before a layout's split and those behind it; tiles of 8 and 12 rows take one.</param>
internal readonly record struct Walk(int Lines, int Runs, int Depth, int StepA, int StepB, int JumpA, int JumpB, int LineA, int LineB, int GapA = 0)
{
    /// <summary>Packed panels: one run.</summary>
    public static Walk Along(int depth, int stepA, int stepB) => ByLine(1, depth, stepA, stepB, 0, 0);

    /// <summary>Each line one run.</summary>
    public static Walk ByLine(int lines, int depth, int stepA, int stepB, int lineA, int lineB) => new(lines, 1, depth, stepA, stepB, 0, 0, lineA, lineB);
}

/// <summary>
/// A register tile: tile[Rows, Columns] (dense) = or += A panel * B panel. Its accumulators start from the tile, so an
/// element is ONE chain of FMAs in the order of k whatever the blocking, the tile, the vector width or the threads:
/// all of them give the same bits.
/// </summary>
internal unsafe interface ITile
{
    static abstract int Rows { get; }
    static abstract int Columns { get; }
    static abstract void Multiply<TLayout>(in Walk walk, float* a, float* b, float* tile, bool first) where TLayout : struct, ILayout;
}

/// <summary>24 accumulators, 3 of B, 1 broadcast: 28 of the 32 registers of AVX-512. All of a core's FMA peak: 116 GFLOP/s on Zen 4, 261 on Zen 5.</summary>
internal readonly unsafe struct Tile8x3<TLane> : ITile where TLane : struct, ILane<TLane>
{
    public static int Rows => 8;
    public static int Columns => 3 * TLane.Width;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TLayout>(in Walk walk, float* a, float* b, float* tile, bool first) where TLayout : struct, ILayout
    {
        int w = TLane.Width, s = walk.StepA, t = walk.StepB;
        long gap = walk.GapA;
        TLane c00 = default, c01 = default, c02 = default, c10 = default, c11 = default, c12 = default;
        TLane c20 = default, c21 = default, c22 = default, c30 = default, c31 = default, c32 = default;
        TLane c40 = default, c41 = default, c42 = default, c50 = default, c51 = default, c52 = default;
        TLane c60 = default, c61 = default, c62 = default, c70 = default, c71 = default, c72 = default;
        if (!first)
        {
            c00 = TLane.Load(tile + 0 * w); c01 = TLane.Load(tile + 1 * w); c02 = TLane.Load(tile + 2 * w);
            c10 = TLane.Load(tile + 3 * w); c11 = TLane.Load(tile + 4 * w); c12 = TLane.Load(tile + 5 * w);
            c20 = TLane.Load(tile + 6 * w); c21 = TLane.Load(tile + 7 * w); c22 = TLane.Load(tile + 8 * w);
            c30 = TLane.Load(tile + 9 * w); c31 = TLane.Load(tile + 10 * w); c32 = TLane.Load(tile + 11 * w);
            c40 = TLane.Load(tile + 12 * w); c41 = TLane.Load(tile + 13 * w); c42 = TLane.Load(tile + 14 * w);
            c50 = TLane.Load(tile + 15 * w); c51 = TLane.Load(tile + 16 * w); c52 = TLane.Load(tile + 17 * w);
            c60 = TLane.Load(tile + 18 * w); c61 = TLane.Load(tile + 19 * w); c62 = TLane.Load(tile + 20 * w);
            c70 = TLane.Load(tile + 21 * w); c71 = TLane.Load(tile + 22 * w); c72 = TLane.Load(tile + 23 * w);
        }
        for (int lines = walk.Lines; lines > 0; lines--, a += walk.LineA, b += walk.LineB)
        {
            for (int runs = walk.Runs; runs > 0; runs--, a += walk.JumpA, b += walk.JumpB)
            {
                for (int k = walk.Depth; k > 0; k--, a += s, b += t)
                {
                    TLane b0 = TLane.Load(b + 0 * w); TLane b1 = TLane.Load(b + 1 * w); TLane b2 = TLane.Load(b + 2 * w);
                    TLane x;
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 0)); c00 = TLane.Fma(x, b0, c00); c01 = TLane.Fma(x, b1, c01); c02 = TLane.Fma(x, b2, c02);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 1)); c10 = TLane.Fma(x, b0, c10); c11 = TLane.Fma(x, b1, c11); c12 = TLane.Fma(x, b2, c12);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 2)); c20 = TLane.Fma(x, b0, c20); c21 = TLane.Fma(x, b1, c21); c22 = TLane.Fma(x, b2, c22);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 3)); c30 = TLane.Fma(x, b0, c30); c31 = TLane.Fma(x, b1, c31); c32 = TLane.Fma(x, b2, c32);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 4)); c40 = TLane.Fma(x, b0, c40); c41 = TLane.Fma(x, b1, c41); c42 = TLane.Fma(x, b2, c42);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 5)); c50 = TLane.Fma(x, b0, c50); c51 = TLane.Fma(x, b1, c51); c52 = TLane.Fma(x, b2, c52);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 6)); c60 = TLane.Fma(x, b0, c60); c61 = TLane.Fma(x, b1, c61); c62 = TLane.Fma(x, b2, c62);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 7)); c70 = TLane.Fma(x, b0, c70); c71 = TLane.Fma(x, b1, c71); c72 = TLane.Fma(x, b2, c72);
                }
            }
        }
        c00.Store(tile + 0 * w); c01.Store(tile + 1 * w); c02.Store(tile + 2 * w);
        c10.Store(tile + 3 * w); c11.Store(tile + 4 * w); c12.Store(tile + 5 * w);
        c20.Store(tile + 6 * w); c21.Store(tile + 7 * w); c22.Store(tile + 8 * w);
        c30.Store(tile + 9 * w); c31.Store(tile + 10 * w); c32.Store(tile + 11 * w);
        c40.Store(tile + 12 * w); c41.Store(tile + 13 * w); c42.Store(tile + 14 * w);
        c50.Store(tile + 15 * w); c51.Store(tile + 16 * w); c52.Store(tile + 17 * w);
        c60.Store(tile + 18 * w); c61.Store(tile + 19 * w); c62.Store(tile + 20 * w);
        c70.Store(tile + 21 * w); c71.Store(tile + 22 * w); c72.Store(tile + 23 * w);
    }
}

/// <summary>24 accumulators, 2 of B, 1 broadcast: as fast, with less padding for N of 32, 64, 1024.</summary>
internal readonly unsafe struct Tile12x2<TLane> : ITile where TLane : struct, ILane<TLane>
{
    public static int Rows => 12;
    public static int Columns => 2 * TLane.Width;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TLayout>(in Walk walk, float* a, float* b, float* tile, bool first) where TLayout : struct, ILayout
    {
        int w = TLane.Width, s = walk.StepA, t = walk.StepB;
        long gap = walk.GapA;
        TLane c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        TLane c40 = default, c41 = default, c50 = default, c51 = default, c60 = default, c61 = default, c70 = default, c71 = default;
        TLane c80 = default, c81 = default, c90 = default, c91 = default, ca0 = default, ca1 = default, cb0 = default, cb1 = default;
        if (!first)
        {
            c00 = TLane.Load(tile + 0 * w); c01 = TLane.Load(tile + 1 * w);
            c10 = TLane.Load(tile + 2 * w); c11 = TLane.Load(tile + 3 * w);
            c20 = TLane.Load(tile + 4 * w); c21 = TLane.Load(tile + 5 * w);
            c30 = TLane.Load(tile + 6 * w); c31 = TLane.Load(tile + 7 * w);
            c40 = TLane.Load(tile + 8 * w); c41 = TLane.Load(tile + 9 * w);
            c50 = TLane.Load(tile + 10 * w); c51 = TLane.Load(tile + 11 * w);
            c60 = TLane.Load(tile + 12 * w); c61 = TLane.Load(tile + 13 * w);
            c70 = TLane.Load(tile + 14 * w); c71 = TLane.Load(tile + 15 * w);
            c80 = TLane.Load(tile + 16 * w); c81 = TLane.Load(tile + 17 * w);
            c90 = TLane.Load(tile + 18 * w); c91 = TLane.Load(tile + 19 * w);
            ca0 = TLane.Load(tile + 20 * w); ca1 = TLane.Load(tile + 21 * w);
            cb0 = TLane.Load(tile + 22 * w); cb1 = TLane.Load(tile + 23 * w);
        }
        for (int lines = walk.Lines; lines > 0; lines--, a += walk.LineA, b += walk.LineB)
        {
            for (int runs = walk.Runs; runs > 0; runs--, a += walk.JumpA, b += walk.JumpB)
            {
                for (int k = walk.Depth; k > 0; k--, a += s, b += t)
                {
                    TLane b0 = TLane.Load(b + 0 * w); TLane b1 = TLane.Load(b + 1 * w);
                    TLane x;
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 0)); c00 = TLane.Fma(x, b0, c00); c01 = TLane.Fma(x, b1, c01);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 1)); c10 = TLane.Fma(x, b0, c10); c11 = TLane.Fma(x, b1, c11);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 2)); c20 = TLane.Fma(x, b0, c20); c21 = TLane.Fma(x, b1, c21);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 3)); c30 = TLane.Fma(x, b0, c30); c31 = TLane.Fma(x, b1, c31);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 4)); c40 = TLane.Fma(x, b0, c40); c41 = TLane.Fma(x, b1, c41);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 5)); c50 = TLane.Fma(x, b0, c50); c51 = TLane.Fma(x, b1, c51);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 6)); c60 = TLane.Fma(x, b0, c60); c61 = TLane.Fma(x, b1, c61);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 7)); c70 = TLane.Fma(x, b0, c70); c71 = TLane.Fma(x, b1, c71);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 8)); c80 = TLane.Fma(x, b0, c80); c81 = TLane.Fma(x, b1, c81);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 9)); c90 = TLane.Fma(x, b0, c90); c91 = TLane.Fma(x, b1, c91);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 10)); ca0 = TLane.Fma(x, b0, ca0); ca1 = TLane.Fma(x, b1, ca1);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 11)); cb0 = TLane.Fma(x, b0, cb0); cb1 = TLane.Fma(x, b1, cb1);
                }
            }
        }
        c00.Store(tile + 0 * w); c01.Store(tile + 1 * w);
        c10.Store(tile + 2 * w); c11.Store(tile + 3 * w);
        c20.Store(tile + 4 * w); c21.Store(tile + 5 * w);
        c30.Store(tile + 6 * w); c31.Store(tile + 7 * w);
        c40.Store(tile + 8 * w); c41.Store(tile + 9 * w);
        c50.Store(tile + 10 * w); c51.Store(tile + 11 * w);
        c60.Store(tile + 12 * w); c61.Store(tile + 13 * w);
        c70.Store(tile + 14 * w); c71.Store(tile + 15 * w);
        c80.Store(tile + 16 * w); c81.Store(tile + 17 * w);
        c90.Store(tile + 18 * w); c91.Store(tile + 19 * w);
        ca0.Store(tile + 20 * w); ca1.Store(tile + 21 * w);
        cb0.Store(tile + 22 * w); cb1.Store(tile + 23 * w);
    }
}

/// <summary>16 accumulators, 2 of B, 1 broadcast, as fast again: for the last rows of <see cref="Tile12x2{TLane}"/> where they are 8 or fewer, as of a batch of 128.</summary>
internal readonly unsafe struct Tile8x2<TLane> : ITile where TLane : struct, ILane<TLane>
{
    public static int Rows => 8;
    public static int Columns => 2 * TLane.Width;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TLayout>(in Walk walk, float* a, float* b, float* tile, bool first) where TLayout : struct, ILayout
    {
        int w = TLane.Width, s = walk.StepA, t = walk.StepB;
        long gap = walk.GapA;
        TLane c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        TLane c40 = default, c41 = default, c50 = default, c51 = default, c60 = default, c61 = default, c70 = default, c71 = default;
        if (!first)
        {
            c00 = TLane.Load(tile + 0 * w); c01 = TLane.Load(tile + 1 * w);
            c10 = TLane.Load(tile + 2 * w); c11 = TLane.Load(tile + 3 * w);
            c20 = TLane.Load(tile + 4 * w); c21 = TLane.Load(tile + 5 * w);
            c30 = TLane.Load(tile + 6 * w); c31 = TLane.Load(tile + 7 * w);
            c40 = TLane.Load(tile + 8 * w); c41 = TLane.Load(tile + 9 * w);
            c50 = TLane.Load(tile + 10 * w); c51 = TLane.Load(tile + 11 * w);
            c60 = TLane.Load(tile + 12 * w); c61 = TLane.Load(tile + 13 * w);
            c70 = TLane.Load(tile + 14 * w); c71 = TLane.Load(tile + 15 * w);
        }
        for (int lines = walk.Lines; lines > 0; lines--, a += walk.LineA, b += walk.LineB)
        {
            for (int runs = walk.Runs; runs > 0; runs--, a += walk.JumpA, b += walk.JumpB)
            {
                for (int k = walk.Depth; k > 0; k--, a += s, b += t)
                {
                    TLane b0 = TLane.Load(b + 0 * w); TLane b1 = TLane.Load(b + 1 * w);
                    TLane x;
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 0)); c00 = TLane.Fma(x, b0, c00); c01 = TLane.Fma(x, b1, c01);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 1)); c10 = TLane.Fma(x, b0, c10); c11 = TLane.Fma(x, b1, c11);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 2)); c20 = TLane.Fma(x, b0, c20); c21 = TLane.Fma(x, b1, c21);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 3)); c30 = TLane.Fma(x, b0, c30); c31 = TLane.Fma(x, b1, c31);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 4)); c40 = TLane.Fma(x, b0, c40); c41 = TLane.Fma(x, b1, c41);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 5)); c50 = TLane.Fma(x, b0, c50); c51 = TLane.Fma(x, b1, c51);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 6)); c60 = TLane.Fma(x, b0, c60); c61 = TLane.Fma(x, b1, c61);
                    x = TLane.Broadcast(PanelRow.Of<TLayout>(a, gap, 7)); c70 = TLane.Fma(x, b0, c70); c71 = TLane.Fma(x, b1, c71);
                }
            }
        }
        c00.Store(tile + 0 * w); c01.Store(tile + 1 * w);
        c10.Store(tile + 2 * w); c11.Store(tile + 3 * w);
        c20.Store(tile + 4 * w); c21.Store(tile + 5 * w);
        c30.Store(tile + 6 * w); c31.Store(tile + 7 * w);
        c40.Store(tile + 8 * w); c41.Store(tile + 9 * w);
        c50.Store(tile + 10 * w); c51.Store(tile + 11 * w);
        c60.Store(tile + 12 * w); c61.Store(tile + 13 * w);
        c70.Store(tile + 14 * w); c71.Store(tile + 15 * w);
    }
}

internal static unsafe class LastRows
{
    /// <summary>A tile, or a lower one whose sums lie the same way where no more than its rows are left.</summary>
    /// <param name="rows">How many are left.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply<TTile, TLayout>(int rows, in Walk walk, float* a, float* b, float* tile, bool first) where TTile : struct, ITile where TLayout : struct, ILayout
    {
        if (typeof(TTile) == typeof(Tile12x2<Lane512>) && rows <= Tile8x2<Lane512>.Rows) Tile8x2<Lane512>.Multiply<TLayout>(walk, a, b, tile, first);
        else TTile.Multiply<TLayout>(walk, a, b, tile, first);
    }
}

/// <summary>
/// 16 accumulators and one of B, the broadcasts folded into the FMAs: N up to 16 on AVX-512. One load for each FMA costs it a
/// tenth of the speed where a core does two zmm FMAs a cycle (Zen 5: 230 of 260 GFLOP/s; 6x2 of ymm has 129 there) and a
/// quarter where it does one (Zen 4).
/// </summary>
internal readonly unsafe struct Tile16x1<TLane> : ITile where TLane : struct, ILane<TLane>
{
    public static int Rows => 16;
    public static int Columns => TLane.Width;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TLayout>(in Walk walk, float* a, float* b, float* tile, bool first) where TLayout : struct, ILayout
    {
        int w = TLane.Width, r = TLayout.RowStride, s = walk.StepA, t = walk.StepB;
        TLane c0 = default, c1 = default, c2 = default, c3 = default, c4 = default, c5 = default, c6 = default, c7 = default;
        TLane c8 = default, c9 = default, c10 = default, c11 = default, c12 = default, c13 = default, c14 = default, c15 = default;
        if (!first)
        {
            c0 = TLane.Load(tile + 0 * w); c1 = TLane.Load(tile + 1 * w); c2 = TLane.Load(tile + 2 * w); c3 = TLane.Load(tile + 3 * w);
            c4 = TLane.Load(tile + 4 * w); c5 = TLane.Load(tile + 5 * w); c6 = TLane.Load(tile + 6 * w); c7 = TLane.Load(tile + 7 * w);
            c8 = TLane.Load(tile + 8 * w); c9 = TLane.Load(tile + 9 * w); c10 = TLane.Load(tile + 10 * w); c11 = TLane.Load(tile + 11 * w);
            c12 = TLane.Load(tile + 12 * w); c13 = TLane.Load(tile + 13 * w); c14 = TLane.Load(tile + 14 * w); c15 = TLane.Load(tile + 15 * w);
        }
        for (int lines = walk.Lines; lines > 0; lines--, a += walk.LineA, b += walk.LineB)
        {
            for (int runs = walk.Runs; runs > 0; runs--, a += walk.JumpA, b += walk.JumpB)
            {
                for (int k = walk.Depth; k > 0; k--, a += s, b += t)
                {
                    TLane b0 = TLane.Load(b);
                    c0 = TLane.Fma(TLane.Broadcast(a + 0 * r), b0, c0); c1 = TLane.Fma(TLane.Broadcast(a + 1 * r), b0, c1);
                    c2 = TLane.Fma(TLane.Broadcast(a + 2 * r), b0, c2); c3 = TLane.Fma(TLane.Broadcast(a + 3 * r), b0, c3);
                    c4 = TLane.Fma(TLane.Broadcast(a + 4 * r), b0, c4); c5 = TLane.Fma(TLane.Broadcast(a + 5 * r), b0, c5);
                    c6 = TLane.Fma(TLane.Broadcast(a + 6 * r), b0, c6); c7 = TLane.Fma(TLane.Broadcast(a + 7 * r), b0, c7);
                    c8 = TLane.Fma(TLane.Broadcast(a + 8 * r), b0, c8); c9 = TLane.Fma(TLane.Broadcast(a + 9 * r), b0, c9);
                    c10 = TLane.Fma(TLane.Broadcast(a + 10 * r), b0, c10); c11 = TLane.Fma(TLane.Broadcast(a + 11 * r), b0, c11);
                    c12 = TLane.Fma(TLane.Broadcast(a + 12 * r), b0, c12); c13 = TLane.Fma(TLane.Broadcast(a + 13 * r), b0, c13);
                    c14 = TLane.Fma(TLane.Broadcast(a + 14 * r), b0, c14); c15 = TLane.Fma(TLane.Broadcast(a + 15 * r), b0, c15);
                }
            }
        }
        c0.Store(tile + 0 * w); c1.Store(tile + 1 * w); c2.Store(tile + 2 * w); c3.Store(tile + 3 * w);
        c4.Store(tile + 4 * w); c5.Store(tile + 5 * w); c6.Store(tile + 6 * w); c7.Store(tile + 7 * w);
        c8.Store(tile + 8 * w); c9.Store(tile + 9 * w); c10.Store(tile + 10 * w); c11.Store(tile + 11 * w);
        c12.Store(tile + 12 * w); c13.Store(tile + 13 * w); c14.Store(tile + 14 * w); c15.Store(tile + 15 * w);
    }
}

/// <summary>12 accumulators, 2 of B, 1 broadcast: 15 of the 16 registers of AVX2.</summary>
internal readonly unsafe struct Tile6x2<TLane> : ITile where TLane : struct, ILane<TLane>
{
    public static int Rows => 6;
    public static int Columns => 2 * TLane.Width;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TLayout>(in Walk walk, float* a, float* b, float* tile, bool first) where TLayout : struct, ILayout
    {
        int w = TLane.Width, r = TLayout.RowStride, s = walk.StepA, t = walk.StepB;
        TLane c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        TLane c40 = default, c41 = default, c50 = default, c51 = default;
        if (!first)
        {
            c00 = TLane.Load(tile + 0 * w); c01 = TLane.Load(tile + 1 * w);
            c10 = TLane.Load(tile + 2 * w); c11 = TLane.Load(tile + 3 * w);
            c20 = TLane.Load(tile + 4 * w); c21 = TLane.Load(tile + 5 * w);
            c30 = TLane.Load(tile + 6 * w); c31 = TLane.Load(tile + 7 * w);
            c40 = TLane.Load(tile + 8 * w); c41 = TLane.Load(tile + 9 * w);
            c50 = TLane.Load(tile + 10 * w); c51 = TLane.Load(tile + 11 * w);
        }
        for (int lines = walk.Lines; lines > 0; lines--, a += walk.LineA, b += walk.LineB)
        {
            for (int runs = walk.Runs; runs > 0; runs--, a += walk.JumpA, b += walk.JumpB)
            {
                for (int k = walk.Depth; k > 0; k--, a += s, b += t)
                {
                    TLane b0 = TLane.Load(b + 0 * w); TLane b1 = TLane.Load(b + 1 * w);
                    TLane x;
                    x = TLane.Broadcast(a + 0 * r); c00 = TLane.Fma(x, b0, c00); c01 = TLane.Fma(x, b1, c01);
                    x = TLane.Broadcast(a + 1 * r); c10 = TLane.Fma(x, b0, c10); c11 = TLane.Fma(x, b1, c11);
                    x = TLane.Broadcast(a + 2 * r); c20 = TLane.Fma(x, b0, c20); c21 = TLane.Fma(x, b1, c21);
                    x = TLane.Broadcast(a + 3 * r); c30 = TLane.Fma(x, b0, c30); c31 = TLane.Fma(x, b1, c31);
                    x = TLane.Broadcast(a + 4 * r); c40 = TLane.Fma(x, b0, c40); c41 = TLane.Fma(x, b1, c41);
                    x = TLane.Broadcast(a + 5 * r); c50 = TLane.Fma(x, b0, c50); c51 = TLane.Fma(x, b1, c51);
                }
            }
        }
        c00.Store(tile + 0 * w); c01.Store(tile + 1 * w);
        c10.Store(tile + 2 * w); c11.Store(tile + 3 * w);
        c20.Store(tile + 4 * w); c21.Store(tile + 5 * w);
        c30.Store(tile + 6 * w); c31.Store(tile + 7 * w);
        c40.Store(tile + 8 * w); c41.Store(tile + 9 * w);
        c50.Store(tile + 10 * w); c51.Store(tile + 11 * w);
    }
}

/// <summary>24 accumulators, 4 of B, 1 broadcast: 29 of the 32 registers of Arm64.</summary>
internal readonly unsafe struct Tile6x4<TLane> : ITile where TLane : struct, ILane<TLane>
{
    public static int Rows => 6;
    public static int Columns => 4 * TLane.Width;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TLayout>(in Walk walk, float* a, float* b, float* tile, bool first) where TLayout : struct, ILayout
    {
        int w = TLane.Width, r = TLayout.RowStride, s = walk.StepA, t = walk.StepB;
        TLane c00 = default, c01 = default, c02 = default, c03 = default, c10 = default, c11 = default, c12 = default, c13 = default;
        TLane c20 = default, c21 = default, c22 = default, c23 = default, c30 = default, c31 = default, c32 = default, c33 = default;
        TLane c40 = default, c41 = default, c42 = default, c43 = default, c50 = default, c51 = default, c52 = default, c53 = default;
        if (!first)
        {
            c00 = TLane.Load(tile + 0 * w); c01 = TLane.Load(tile + 1 * w); c02 = TLane.Load(tile + 2 * w); c03 = TLane.Load(tile + 3 * w);
            c10 = TLane.Load(tile + 4 * w); c11 = TLane.Load(tile + 5 * w); c12 = TLane.Load(tile + 6 * w); c13 = TLane.Load(tile + 7 * w);
            c20 = TLane.Load(tile + 8 * w); c21 = TLane.Load(tile + 9 * w); c22 = TLane.Load(tile + 10 * w); c23 = TLane.Load(tile + 11 * w);
            c30 = TLane.Load(tile + 12 * w); c31 = TLane.Load(tile + 13 * w); c32 = TLane.Load(tile + 14 * w); c33 = TLane.Load(tile + 15 * w);
            c40 = TLane.Load(tile + 16 * w); c41 = TLane.Load(tile + 17 * w); c42 = TLane.Load(tile + 18 * w); c43 = TLane.Load(tile + 19 * w);
            c50 = TLane.Load(tile + 20 * w); c51 = TLane.Load(tile + 21 * w); c52 = TLane.Load(tile + 22 * w); c53 = TLane.Load(tile + 23 * w);
        }
        for (int lines = walk.Lines; lines > 0; lines--, a += walk.LineA, b += walk.LineB)
        {
            for (int runs = walk.Runs; runs > 0; runs--, a += walk.JumpA, b += walk.JumpB)
            {
                for (int k = walk.Depth; k > 0; k--, a += s, b += t)
                {
                    TLane b0 = TLane.Load(b + 0 * w); TLane b1 = TLane.Load(b + 1 * w); TLane b2 = TLane.Load(b + 2 * w); TLane b3 = TLane.Load(b + 3 * w);
                    TLane x;
                    x = TLane.Broadcast(a + 0 * r); c00 = TLane.Fma(x, b0, c00); c01 = TLane.Fma(x, b1, c01); c02 = TLane.Fma(x, b2, c02); c03 = TLane.Fma(x, b3, c03);
                    x = TLane.Broadcast(a + 1 * r); c10 = TLane.Fma(x, b0, c10); c11 = TLane.Fma(x, b1, c11); c12 = TLane.Fma(x, b2, c12); c13 = TLane.Fma(x, b3, c13);
                    x = TLane.Broadcast(a + 2 * r); c20 = TLane.Fma(x, b0, c20); c21 = TLane.Fma(x, b1, c21); c22 = TLane.Fma(x, b2, c22); c23 = TLane.Fma(x, b3, c23);
                    x = TLane.Broadcast(a + 3 * r); c30 = TLane.Fma(x, b0, c30); c31 = TLane.Fma(x, b1, c31); c32 = TLane.Fma(x, b2, c32); c33 = TLane.Fma(x, b3, c33);
                    x = TLane.Broadcast(a + 4 * r); c40 = TLane.Fma(x, b0, c40); c41 = TLane.Fma(x, b1, c41); c42 = TLane.Fma(x, b2, c42); c43 = TLane.Fma(x, b3, c43);
                    x = TLane.Broadcast(a + 5 * r); c50 = TLane.Fma(x, b0, c50); c51 = TLane.Fma(x, b1, c51); c52 = TLane.Fma(x, b2, c52); c53 = TLane.Fma(x, b3, c53);
                }
            }
        }
        c00.Store(tile + 0 * w); c01.Store(tile + 1 * w); c02.Store(tile + 2 * w); c03.Store(tile + 3 * w);
        c10.Store(tile + 4 * w); c11.Store(tile + 5 * w); c12.Store(tile + 6 * w); c13.Store(tile + 7 * w);
        c20.Store(tile + 8 * w); c21.Store(tile + 9 * w); c22.Store(tile + 10 * w); c23.Store(tile + 11 * w);
        c30.Store(tile + 12 * w); c31.Store(tile + 13 * w); c32.Store(tile + 14 * w); c33.Store(tile + 15 * w);
        c40.Store(tile + 16 * w); c41.Store(tile + 17 * w); c42.Store(tile + 18 * w); c43.Store(tile + 19 * w);
        c50.Store(tile + 20 * w); c51.Store(tile + 21 * w); c52.Store(tile + 22 * w); c53.Store(tile + 23 * w);
    }
}
