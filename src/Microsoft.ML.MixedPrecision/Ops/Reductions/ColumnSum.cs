namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// y[c] = sum over r of x[r, c], FP32 sums: the gradient of a bias. In two stages with a fixed order: parts of rows, whose
/// number depends on the shape alone, then the parts one after the other.
/// </summary>
internal sealed partial class ColumnSum : ColumnReader
{
    private readonly Tensor _x, _y, _parts;
    private readonly int _rows, _columns;

    private ColumnSum(Tensor x, Tensor y, Tensor parts, int rows, int columns) => (_x, _y, _parts, _rows, _columns) = (x, y, parts, rows, columns);

    public override string Name => "ColumnSum";
    public override IReadOnlyList<Tensor> Reads => [_x];
    public override IReadOnlyList<Tensor> Writes => [_y, _parts];
    public override Tensor From => _x;
    public override Tensor Parts => _parts;

    /// <summary>Sums over all but the last dimension of <paramref name="x"/> into <paramref name="y"/>, working storage.</summary>
    public static ColumnSum Of(BackwardPass pass, Tensor x, Tensor y)
    {
        int columns = x.Dimensions[^1], rows = (int)(x.Length / columns);
        var parts = pass.New("ColumnSumParts", ElementType.Single, MostParts(x), columns);
        return new ColumnSum(x, y, parts, rows, columns);
    }
}
