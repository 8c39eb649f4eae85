using ILGPU;
using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

// A row has up to 64 threads, which keep its first 2,048 halves in registers; what lies behind is walked again for each of the steps.

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

    internal readonly struct Arguments<T>(ArrayView<T> x, ArrayView<T> weight, ArrayView<T> bias, ArrayView<T> y, ArrayView<float> statistics, RowLanes lanes, float eps) where T : unmanaged
    {
        public readonly ArrayView<T> X = x, Weight = weight, Bias = bias, Y = y;
        public readonly ArrayView<float> Statistics = statistics;
        public readonly RowLanes Lanes = lanes;
        public readonly float Eps = eps;
    }

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = RowLanes.Share();
        int row = RowLanes.Row(a.Lanes);
        var at = RowColumns.Of<TVector>(a.Lanes);
        var head = RowHead<TVector>.Load<T, TStorage>(a.X, at.Start, at);
        float sum = RowHead<TVector>.Sum(head, at);
        for (int c = at.Rest; c < at.End; c += at.Step) sum += TVector.Sum(TVector.Load<T, TStorage>(a.X, at.Start + c));
        float average = RowLanes.Sum(a.Lanes, sum, shared) / a.Lanes.Width;
        var mean = TVector.All(average);
        head -= mean;
        float squares = RowHead<TVector>.Sum(head * head, at);
        for (int c = at.Rest; c < at.End; c += at.Step)
        {
            var deviation = TVector.Load<T, TStorage>(a.X, at.Start + c) - mean;
            squares += TVector.Sum(deviation * deviation);
        }
        float inverse = 1f / XMath.Sqrt(RowLanes.Sum(a.Lanes, squares, shared) / a.Lanes.Width + a.Eps);
        RowHead<TVector>.Store<T, TStorage>(a.Y, at, head * inverse * RowHead<TVector>.Load<T, TStorage>(a.Weight, 0, at) + RowHead<TVector>.Load<T, TStorage>(a.Bias, 0, at));
        for (int c = at.Rest; c < at.End; c += at.Step)
        {
            var xhat = (TVector.Load<T, TStorage>(a.X, at.Start + c) - mean) * inverse;
            TVector.Store<T, TStorage>(a.Y, at.Start + c, xhat * TVector.Load<T, TStorage>(a.Weight, c) + TVector.Load<T, TStorage>(a.Bias, c));
        }
        if (RowLanes.Lane(a.Lanes) != 0 || row >= a.Lanes.Rows) return;
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

    internal readonly struct Arguments<T>(ArrayView<T> x, ArrayView<T> outputGradient, ArrayView<T> weight, ArrayView<float> statistics, ArrayView<T> inputGradient, RowLanes lanes) where T : unmanaged
    {
        public readonly ArrayView<T> X = x, OutputGradient = outputGradient, Weight = weight;
        public readonly ArrayView<float> Statistics = statistics;
        public readonly ArrayView<T> InputGradient = inputGradient;
        public readonly RowLanes Lanes = lanes;
    }

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = RowLanes.Share();
        int known = Math.Min(RowLanes.Row(a.Lanes), a.Lanes.Rows - 1);
        var at = RowColumns.Of<TVector>(a.Lanes);
        float average = a.Statistics[known], inverse = a.Statistics[a.Lanes.Rows + known];
        var mean = TVector.All(average);
        var g = RowHead<TVector>.Load<T, TStorage>(a.OutputGradient, at.Start, at) * RowHead<TVector>.Load<T, TStorage>(a.Weight, 0, at);
        var xhat = (RowHead<TVector>.Load<T, TStorage>(a.X, at.Start, at) - mean) * inverse;
        float sum = RowHead<TVector>.Sum(g, at), product = RowHead<TVector>.Sum(g * xhat, at);
        for (int c = at.Rest; c < at.End; c += at.Step)
        {
            var more = TVector.Load<T, TStorage>(a.OutputGradient, at.Start + c) * TVector.Load<T, TStorage>(a.Weight, c);
            sum += TVector.Sum(more);
            product += TVector.Sum(more * ((TVector.Load<T, TStorage>(a.X, at.Start + c) - mean) * inverse));
        }
        var offset = TVector.All(RowLanes.Sum(a.Lanes, sum, shared) / a.Lanes.Width);
        float slope = RowLanes.Sum(a.Lanes, product, shared) / a.Lanes.Width;
        RowHead<TVector>.Store<T, TStorage>(a.InputGradient, at, (g - offset - xhat * slope) * inverse);
        for (int c = at.Rest; c < at.End; c += at.Step)
        {
            var more = TVector.Load<T, TStorage>(a.OutputGradient, at.Start + c) * TVector.Load<T, TStorage>(a.Weight, c);
            TVector.Store<T, TStorage>(a.InputGradient, at.Start + c, (more - offset - (TVector.Load<T, TStorage>(a.X, at.Start + c) - mean) * inverse * slope) * inverse);
        }
    }
}

internal sealed partial class LayerNormWeightGradient
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var rows = RowParts.Of(x.Dimensions[0], Size);
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
        public static bool ReadsOne => false;
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
