namespace Microsoft.ML.MixedPrecision;

/// <summary>The sizes of a pooling as scalars for a GPU kernel, and which windows see a pixel.</summary>
internal readonly record struct PoolGeometry(
    int Height, int Width, int Channels, int OutHeight, int OutWidth, int KernelY, int KernelX, int StrideY, int StrideX, int PaddingY, int PaddingX)
{
    public static PoolGeometry Of(Tensor x, Tensor y, Window2d window) => new(
        x.Dimensions[1], x.Dimensions[2], x.Dimensions[3], y.Dimensions[1], y.Dimensions[2],
        window.Kernel.Height, window.Kernel.Width, window.Stride.Height, window.Stride.Width, window.Padding.Height, window.Padding.Width);

    public int FirstRow(int row) => Pooling.FirstWindow(row, KernelY, StrideY, PaddingY);
    public int EndRow(int row) => Pooling.EndWindow(row, StrideY, PaddingY, OutHeight);
    public int FirstColumn(int column) => Pooling.FirstWindow(column, KernelX, StrideX, PaddingX);
    public int EndColumn(int column) => Pooling.EndWindow(column, StrideX, PaddingX, OutWidth);
}
