using ILGPU;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ColumnSum
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var parts = new RowParts(_rows);
        var a = new Arguments<T>(gpu.Vectors<T>(_x), gpu.Vectors<float>(_parts), gpu.View<T>(_y), _rows, _columns, parts.Count);
        var sumParts = gpu.SumColumns<PartSums<T, TStorage>, Arguments<T>>(parts, _columns, a);
        var sum = gpu.ReduceParts<Total<T, TStorage>, float, Arguments<T>>(_columns, parts.Count, a);
        return () => { sumParts(); sum(); };
    }

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<float> Parts, ArrayView<T> Y, int Rows, int Columns, int PartCount) where T : unmanaged;

    internal readonly struct PartSums<T, TStorage> : IGpuColumnSums<Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static int Rows(Arguments<T> a) => a.Rows;
        public static TVector Origin<TVector>(Arguments<T> a, int firstRow, int column) where TVector : unmanaged, IGpuVector<TVector> => TVector.All(0f);

        public static TwoSums<TVector> Load<TVector>(Arguments<T> a, int row, int column, TVector origin) where TVector : unmanaged, IGpuVector<TVector> =>
            new(TVector.Load<T, TStorage>(a.X, row * a.Columns + column), origin);

        public static void Store<TVector>(Arguments<T> a, int part, int column, int rows, TVector origin, TwoSums<TVector> total) where TVector : unmanaged, IGpuVector<TVector> =>
            TVector.Store<float, SingleStorage>(a.Parts, part * a.Columns + column, total.First);
    }

    internal readonly struct Total<T, TStorage> : IGpuReduction<float, Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static float Nothing => 0f;
        public static int Items(Arguments<T> a, int column) => a.PartCount;
        public static float Load(Arguments<T> a, int column, int part) => a.Parts[part * a.Columns + column];
        public static float Combine(float x, float y) => x + y;
        public static void Store(Arguments<T> a, int column, float total) => a.Y[column] = TStorage.Store(total);
    }
}
