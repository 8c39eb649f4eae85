using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>One lane's share of a warp group's sums of 64 rows: warp w holds rows 16 w to 16 w + 15, and Pn is its tile of 16 x 8 from column 8 n on.</summary>
internal interface IGroupSums<TSelf> where TSelf : struct, IGroupSums<TSelf>
{
    static abstract int Columns { get; }

    /// <summary>Starts to add the product of 16 values of k; <paramref name="sums"/> may not be used afterwards. What is no place is a constant: see <see cref="WarpGroup.MultiplyAdd64"/>.</summary>
    static abstract TSelf MultiplyAdd(TSelf sums, ArrayView<Words4> shared, int placeA, int block, int placeB, int step, int depthA, int depthB);

    /// <summary>Hands all of a lane's pairs over.</summary>
    /// <param name="row">Of the lane's first pair.</param>
    /// <param name="column">Of the lane's first pair.</param>
    static abstract void Each<TStore>(TSelf sums, TStore store, int row, int column) where TStore : struct, ISumStore<TStore>;
}

/// <summary>Of 64 x 64: 32 registers.</summary>
internal readonly record struct GroupSums64(Sums P0, Sums P1, Sums P2, Sums P3, Sums P4, Sums P5, Sums P6, Sums P7) : IGroupSums<GroupSums64>
{
    public static int Columns => 64;

    public static GroupSums64 MultiplyAdd(GroupSums64 sums, ArrayView<Words4> shared, int placeA, int block, int placeB, int step, int depthA, int depthB) =>
        WarpGroup.MultiplyAdd64(sums, ref shared[placeA], block, ref shared[placeB], step, depthA, depthB);

    public static void Each<TStore>(GroupSums64 sums, TStore store, int row, int column) where TStore : struct, ISumStore<TStore>
    {
        TensorStore.Row(new(sums.P0, sums.P1, sums.P2, sums.P3), store, row, column);
        TensorStore.Row(new(sums.P4, sums.P5, sums.P6, sums.P7), store, row, column + 32);
    }
}

/// <summary>Of 64 x 128: 64 registers.</summary>
internal readonly record struct GroupSums128(
    Sums P0, Sums P1, Sums P2, Sums P3, Sums P4, Sums P5, Sums P6, Sums P7, Sums P8, Sums P9, Sums P10, Sums P11, Sums P12, Sums P13, Sums P14, Sums P15) : IGroupSums<GroupSums128>
{
    public static int Columns => 128;

    public static GroupSums128 MultiplyAdd(GroupSums128 sums, ArrayView<Words4> shared, int placeA, int block, int placeB, int step, int depthA, int depthB) =>
        WarpGroup.MultiplyAdd128(sums, ref shared[placeA], block, ref shared[placeB], step, depthA, depthB);

    public static void Each<TStore>(GroupSums128 sums, TStore store, int row, int column) where TStore : struct, ISumStore<TStore>
    {
        TensorStore.Row(new(sums.P0, sums.P1, sums.P2, sums.P3), store, row, column);
        TensorStore.Row(new(sums.P4, sums.P5, sums.P6, sums.P7), store, row, column + 32);
        TensorStore.Row(new(sums.P8, sums.P9, sums.P10, sums.P11), store, row, column + 64);
        TensorStore.Row(new(sums.P12, sums.P13, sums.P14, sums.P15), store, row, column + 96);
    }
}
