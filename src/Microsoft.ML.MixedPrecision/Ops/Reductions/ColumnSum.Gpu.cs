using ILGPU;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ColumnSum
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var (parts, sumParts) = gpu.SumParts<PartSums<T, TStorage>, Arguments<T>>(this, ArgumentsOf<T>(gpu));
        var sum = gpu.ReduceParts<Total<T, TStorage>, float, Arguments<T>>(_columns, parts.Count, ArgumentsOf<T>(gpu) with { PartCount = parts.Count });
        return () => { sumParts(); sum(); };
    }

    public override Action Give<T, TStorage>(IlgpuBackend gpu, IGpuSumsUser user) => user.With<PartSums<T, TStorage>, Arguments<T>>(ArgumentsOf<T>(gpu));

    private Arguments<T> ArgumentsOf<T>(IlgpuBackend gpu) where T : unmanaged =>
        new(gpu.Vectors<T>(_x), gpu.Vectors<float>(_parts), gpu.View<T>(_y), _rows, _columns, PartCount: 0);

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<float> Parts, ArrayView<T> Y, int Rows, int Columns, int PartCount) where T : unmanaged;

    internal readonly struct PartSums<T, TStorage> : IGpuStoredSums<Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static bool ReadsOne => true;
        public static int Rows(Arguments<T> a) => a.Rows;
        public static TVector Origin<TVector>(Arguments<T> a, int firstRow, int column) where TVector : unmanaged, IGpuVector<TVector> => TVector.All(0f);
        public static TVector Origin<TVector>(TVector firstRow) where TVector : unmanaged, IGpuVector<TVector> => TVector.All(0f);
        public static TwoSums<TVector> Of<TVector>(TVector row, TVector origin) where TVector : unmanaged, IGpuVector<TVector> => new(row, origin);

        public static TwoSums<TVector> Load<TVector>(Arguments<T> a, int row, int column, TVector origin) where TVector : unmanaged, IGpuVector<TVector> =>
            Of(TVector.Load<T, TStorage>(a.X, row * a.Columns + column), origin);

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
