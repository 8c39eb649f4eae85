using ILGPU;
using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

// A row has up to 64 threads: each walks its columns again for each of the steps, and finds them in the cache.

internal sealed partial class LayerNormForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => IlgpuBackend.ForRows(x.Dimensions[0], Size, new RowKernel<T, TStorage>(gpu, this));

    private sealed class RowKernel<T, TStorage>(IlgpuBackend gpu, LayerNormForward kernel) : IGpuRowKernel where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TVector>(RowLanes lanes) where TVector : unmanaged, IGpuVector<TVector> => kernel.Bind<T, TStorage, TVector>(gpu, lanes);
    }

    private Action Bind<T, TStorage, TVector>(IlgpuBackend gpu, RowLanes lanes) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> =>
        gpu.ForLanes(lanes, Run<T, TStorage, TVector>, new Arguments<T>(
            gpu.Vectors<T>(x), gpu.Vectors<T>(weight), gpu.Vectors<T>(bias), gpu.Vectors<T>(y), gpu.View<float>(statistics), lanes, eps));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> Weight, ArrayView<T> Bias, ArrayView<T> Y, ArrayView<float> Statistics, RowLanes Lanes, float Eps) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = SharedMemory.Allocate<float>(IlgpuBackend.ReductionThreads);
        int row = a.Lanes.Row, start = row * a.Lanes.Width, first = a.Lanes.Lane * TVector.Width, step = a.Lanes.Lanes * TVector.Width, end = a.Lanes.End;
        float sum = 0f, squares = 0f;
        for (int c = first; c < end; c += step) sum += TVector.Load<T, TStorage>(a.X, start + c).Sum();
        float average = a.Lanes.Sum(sum, shared) / a.Lanes.Width;
        var mean = TVector.All(average);
        for (int c = first; c < end; c += step)
        {
            var deviation = TVector.Load<T, TStorage>(a.X, start + c) - mean;
            squares += (deviation * deviation).Sum();
        }
        float inverse = 1f / XMath.Sqrt(a.Lanes.Sum(squares, shared) / a.Lanes.Width + a.Eps);
        for (int c = first; c < end; c += step)
        {
            var xhat = (TVector.Load<T, TStorage>(a.X, start + c) - mean) * inverse;
            TVector.Store<T, TStorage>(a.Y, start + c, xhat * TVector.Load<T, TStorage>(a.Weight, c) + TVector.Load<T, TStorage>(a.Bias, c));
        }
        if (a.Lanes.Lane != 0 || row >= a.Lanes.Rows) return;
        a.Statistics[row] = average;
        a.Statistics[a.Lanes.Rows + row] = inverse;
    }
}

internal sealed partial class LayerNormBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => IlgpuBackend.ForRows(x.Dimensions[0], Size, new RowKernel<T, TStorage>(gpu, this));

    private sealed class RowKernel<T, TStorage>(IlgpuBackend gpu, LayerNormBackward kernel) : IGpuRowKernel where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TVector>(RowLanes lanes) where TVector : unmanaged, IGpuVector<TVector> => kernel.Bind<T, TStorage, TVector>(gpu, lanes);
    }

    // The means of g, and of g xhat, stay in registers.
    private Action Bind<T, TStorage, TVector>(IlgpuBackend gpu, RowLanes lanes) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> =>
        gpu.ForLanes(lanes, Run<T, TStorage, TVector>, new Arguments<T>(
            gpu.Vectors<T>(x), gpu.Vectors<T>(dy), gpu.Vectors<T>(weight), gpu.View<float>(statistics), gpu.Vectors<T>(dx), lanes));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> OutputGradient, ArrayView<T> Weight, ArrayView<float> Statistics, ArrayView<T> InputGradient, RowLanes Lanes) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = SharedMemory.Allocate<float>(IlgpuBackend.ReductionThreads);
        int row = a.Lanes.Row, start = row * a.Lanes.Width, first = a.Lanes.Lane * TVector.Width, step = a.Lanes.Lanes * TVector.Width, end = a.Lanes.End;
        int known = Math.Min(row, a.Lanes.Rows - 1);
        float average = a.Statistics[known], inverse = a.Statistics[a.Lanes.Rows + known], sum = 0f, product = 0f;
        var mean = TVector.All(average);
        for (int c = first; c < end; c += step)
        {
            var g = TVector.Load<T, TStorage>(a.OutputGradient, start + c) * TVector.Load<T, TStorage>(a.Weight, c);
            sum += g.Sum();
            product += (g * ((TVector.Load<T, TStorage>(a.X, start + c) - mean) * inverse)).Sum();
        }
        var offset = TVector.All(a.Lanes.Sum(sum, shared) / a.Lanes.Width);
        float slope = a.Lanes.Sum(product, shared) / a.Lanes.Width;
        for (int c = first; c < end; c += step)
        {
            var g = TVector.Load<T, TStorage>(a.OutputGradient, start + c) * TVector.Load<T, TStorage>(a.Weight, c);
            var xhat = (TVector.Load<T, TStorage>(a.X, start + c) - mean) * inverse;
            TVector.Store<T, TStorage>(a.InputGradient, start + c, (g - offset - xhat * slope) * inverse);
        }
    }
}

internal sealed partial class LayerNormWeightGradient
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var rows = new RowParts(x.Dimensions[0]);
        var a = new Arguments<T>(
            gpu.Vectors<T>(x), gpu.Vectors<T>(dy), gpu.View<float>(statistics), gpu.Vectors<float>(parts), gpu.View<T>(weightGradient), gpu.View<T>(biasGradient),
            Size, rows.Rows, rows.Count);
        var sum = gpu.SumColumns<Parts<T, TStorage>, Arguments<T>>(rows, Size, a);
        var join = gpu.ReduceParts<Join<T, TStorage>, Sums, Arguments<T>>(Size, rows.Count, a);
        return () =>
        {
            sum();
            join();
        };
    }

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> OutputGradient, ArrayView<float> Statistics, ArrayView<float> Parts, ArrayView<T> WeightGradient, ArrayView<T> BiasGradient,
        int Size, int Batch, int PartCount) where T : unmanaged;

    /// <summary>Of dy, and of dy xhat.</summary>
    internal readonly record struct Sums(float Gradient, float Product);

    internal readonly struct Parts<T, TStorage> : IGpuColumnSums<Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static int Rows(Arguments<T> a) => a.Batch;
        public static TVector Origin<TVector>(Arguments<T> a, int firstRow, int column) where TVector : unmanaged, IGpuVector<TVector> => TVector.All(0f);

        public static TwoSums<TVector> Load<TVector>(Arguments<T> a, int row, int column, TVector origin) where TVector : unmanaged, IGpuVector<TVector>
        {
            int place = row * a.Size + column;
            var g = TVector.Load<T, TStorage>(a.OutputGradient, place);
            return new(g, g * ((TVector.Load<T, TStorage>(a.X, place) - TVector.All(a.Statistics[row])) * a.Statistics[a.Batch + row]));
        }

        public static void Store<TVector>(Arguments<T> a, int part, int column, int rows, TVector origin, TwoSums<TVector> total) where TVector : unmanaged, IGpuVector<TVector>
        {
            TVector.Store<float, SingleStorage>(a.Parts, part * 2 * a.Size + column, total.First);
            TVector.Store<float, SingleStorage>(a.Parts, (part * 2 + 1) * a.Size + column, total.Second);
        }
    }

    internal readonly struct Join<T, TStorage> : IGpuReduction<Sums, Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static Sums Nothing => new(0f, 0f);
        public static int Items(Arguments<T> a, int column) => a.PartCount;
        public static Sums Load(Arguments<T> a, int column, int part) => new(a.Parts[part * 2 * a.Size + column], a.Parts[(part * 2 + 1) * a.Size + column]);
        public static Sums Combine(Sums x, Sums y) => new(x.Gradient + y.Gradient, x.Product + y.Product);

        public static void Store(Arguments<T> a, int column, Sums total)
        {
            a.WeightGradient[column] = TStorage.Store(total.Product);
            a.BiasGradient[column] = TStorage.Store(total.Gradient);
        }
    }
}
