using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>A register tile's size, and what a product of it costs.</summary>
/// <param name="Speed">Part of the core's FMA peak.</param>
internal readonly record struct TileShape(int Rows, int Columns, double Speed)
{
    /// <summary>The shape that takes least: its padded area over its speed. Shapes of 512 bits only, where there are any: 256 have half the speed but on Zen 4.</summary>
    public static TileShape For(int m, int n)
    {
        if (!Vector512.IsHardwareAccelerated) return new(6, 16, 1);
        var best = new TileShape(8, 48, 1);
        foreach (var shape in (ReadOnlySpan<TileShape>)[new(12, 32, 1), new(16, 16, 0.88)])
            if (shape.Cost(m, n) < best.Cost(m, n)) best = shape;
        return best;
    }

    private double Cost(int m, int n) => (double)((m + Rows - 1) / Rows) * ((n + Columns - 1) / Columns) * Rows * Columns / Speed;
}
