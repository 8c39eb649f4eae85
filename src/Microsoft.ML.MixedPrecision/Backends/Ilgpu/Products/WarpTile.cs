using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>The sums of a strip of 16 x 32.</summary>
internal readonly record struct SumRow(Sums N0, Sums N1, Sums N2, Sums N3)
{
    public static SumRow MultiplyAdd(SumRow row, LeftFragment left, RightFragments first, RightFragments second) => new(
        TensorCore.MultiplyAdd(row.N0, left, first.Near), TensorCore.MultiplyAdd(row.N1, left, first.Far),
        TensorCore.MultiplyAdd(row.N2, left, second.Near), TensorCore.MultiplyAdd(row.N3, left, second.Far));
}

/// <summary>The sums of one warp's 64 x 32, 64 registers of each lane. A structure of structures, because ILGPU keeps those in registers, and an array in slow memory.</summary>
internal readonly record struct WarpTile(SumRow M0, SumRow M1, SumRow M2, SumRow M3)
{
    public const int Rows = 64, Columns = 32;

    /// <summary>Adds the product of 16 values of k: 6 loads of matrices, 16 multiplications.</summary>
    public static WarpTile MultiplyAdd<TA, TB>(WarpTile sums, ArrayView<Words4> shared, int placeA, int placeB)
        where TA : struct, ITileLayout where TB : struct, ITileLayout
    {
        RightFragments first = TB.Right(shared, placeB, 0), second = TB.Right(shared, placeB, 1);
        return new(
            SumRow.MultiplyAdd(sums.M0, TA.Left(shared, placeA, 0), first, second), SumRow.MultiplyAdd(sums.M1, TA.Left(shared, placeA, 1), first, second),
            SumRow.MultiplyAdd(sums.M2, TA.Left(shared, placeA, 2), first, second), SumRow.MultiplyAdd(sums.M3, TA.Left(shared, placeA, 3), first, second));
    }
}
