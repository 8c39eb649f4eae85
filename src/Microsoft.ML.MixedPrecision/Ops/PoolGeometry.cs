namespace Microsoft.ML.MixedPrecision;

/// <summary>The sizes of a pooling as scalars for a GPU kernel, and which windows see a pixel.</summary>
internal readonly record struct PoolGeometry(
    int Height, int Width, int Channels, int OutHeight, int OutWidth, int KernelY, int KernelX, int StrideY, int StrideX, int PaddingY, int PaddingX)
{
    public static PoolGeometry Of(Tensor x, Tensor y, Window2d window) => new(
        x.Dimensions[1], x.Dimensions[2], x.Dimensions[3], y.Dimensions[1], y.Dimensions[2],
        window.Kernel.Height, window.Kernel.Width, window.Stride.Height, window.Stride.Width, window.Padding.Height, window.Padding.Width);

    /// <summary>The rows of the image that a window sees.</summary>
    public (int First, int End) Rows(int oy) => (Math.Max(oy * StrideY - PaddingY, 0), Math.Min(oy * StrideY - PaddingY + KernelY, Height));

    /// <summary>The columns of the image that a window sees.</summary>
    public (int First, int End) Columns(int ox) => (Math.Max(ox * StrideX - PaddingX, 0), Math.Min(ox * StrideX - PaddingX + KernelX, Width));

    /// <summary>What the sum of a window is divided by: its taps where padding counts, else its pixels inside the image.</summary>
    public float Divisor(int oy, int ox, int countPadding)
    {
        int top = oy * StrideY - PaddingY, left = ox * StrideX - PaddingX;
        int rows = Math.Min(top + KernelY, Height) - Math.Max(top, 0), columns = Math.Min(left + KernelX, Width) - Math.Max(left, 0);
        return countPadding != 0 ? KernelY * KernelX : rows * columns;
    }

    public int FirstRow(int row) => Pooling.FirstWindow(row, KernelY, StrideY, PaddingY);
    public int EndRow(int row) => Pooling.EndWindow(row, StrideY, PaddingY, OutHeight);
    public int FirstColumn(int column) => Pooling.FirstWindow(column, KernelX, StrideX, PaddingX);
    public int EndColumn(int column) => Pooling.EndWindow(column, StrideX, PaddingX, OutWidth);
}
