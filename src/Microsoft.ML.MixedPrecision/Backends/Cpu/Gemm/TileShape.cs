using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>A register tile's size, and what a product of it costs.</summary>
/// <param name="Speed">Part of the core's FMA peak.</param>
/// <param name="LastRows">Of a lower tile that takes the last rows of a product where they are no more than these; 0 without one.</param>
internal readonly record struct TileShape(int Rows, int Columns, double Speed, int LastRows = 0)
{
    /// <summary>Shapes of 512 bits only, where there are any: 256 have half the speed but on Zen 4. The narrow one, with a load for each FMA, has 0.88 of a Zen 5's and 0.74 of a Zen 4's.</summary>
    public static ReadOnlySpan<TileShape> All => Vector512.IsHardwareAccelerated ? s_wide : s_narrow;

    private static readonly TileShape[] s_wide = [new(8, 48, 1), new(12, 32, 1, LastRows: 8), new(16, 16, 0.8)], s_narrow = [new(6, 16, 1)];

    /// <summary>The shape that takes least: its padded area over its speed.</summary>
    public static TileShape For(int m, int n)
    {
        var best = All[0];
        foreach (var shape in All)
            if (shape.Cost(m, n) < best.Cost(m, n)) best = shape;
        return best;
    }

    /// <summary>Cycles for each FMA along k of a core that does 16 elements in one, times 16.</summary>
    public double Cost(int m, int n) => (double)PaddedRows(m) * ((n + Columns - 1) / Columns) * Columns / Speed;

    /// <summary>Rows that are multiplied for <paramref name="m"/>.</summary>
    public int PaddedRows(int m)
    {
        int rest = m % Rows;
        return m - rest + (rest == 0 ? 0 : rest <= LastRows ? LastRows : Rows);
    }
}
