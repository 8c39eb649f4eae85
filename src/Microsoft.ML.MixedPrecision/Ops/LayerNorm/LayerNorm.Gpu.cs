using ILGPU;
using ILGPU.Algorithms;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

// A row is a segment of a reduction, for 64 threads: it may be a whole image. What is done to single elements has a thread for each.

internal sealed partial class LayerNormForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        int batch = x.Dimensions[0];
        var a = new Arguments<T>(gpu.View<T>(x), gpu.View<T>(weight), gpu.View<T>(bias), gpu.View<T>(y), gpu.View<float>(statistics), Size, batch, eps);
        var mean = gpu.Reduce<Mean<T, TStorage>, float, Arguments<T>>(batch, a);
        var deviation = gpu.Reduce<InverseDeviation<T, TStorage>, float, Arguments<T>>(batch, a);
        var normalize = gpu.For(y.Length, Normalize<T, TStorage>, a);
        return () =>
        {
            mean();
            deviation();
            normalize();
        };
    }

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> Weight, ArrayView<T> Bias, ArrayView<T> Y, ArrayView<float> Statistics, int Size, int Batch, float Eps) where T : unmanaged;

    internal readonly struct Mean<T, TStorage> : IGpuReduction<float, Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static float Nothing => 0f;
        public static int Items(Arguments<T> a, int row) => a.Size;
        public static float Load(Arguments<T> a, int row, int item) => TStorage.Load(a.X[row * a.Size + item]);
        public static float Combine(float x, float y) => x + y;
        public static void Store(Arguments<T> a, int row, float total) => a.Statistics[row] = total / a.Size;
    }

    internal readonly struct InverseDeviation<T, TStorage> : IGpuReduction<float, Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static float Nothing => 0f;
        public static int Items(Arguments<T> a, int row) => a.Size;

        public static float Load(Arguments<T> a, int row, int item)
        {
            float deviation = TStorage.Load(a.X[row * a.Size + item]) - a.Statistics[row];
            return deviation * deviation;
        }

        public static float Combine(float x, float y) => x + y;
        public static void Store(Arguments<T> a, int row, float total) => a.Statistics[a.Batch + row] = 1f / XMath.Sqrt(total / a.Size + a.Eps);
    }

    private static void Normalize<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int row = i / a.Size, at = i - row * a.Size;
        float xhat = (TStorage.Load(a.X[i]) - a.Statistics[row]) * a.Statistics[a.Batch + row];
        a.Y[i] = TStorage.Store(xhat * TStorage.Load(a.Weight[at]) + TStorage.Load(a.Bias[at]));
    }
}

internal sealed partial class LayerNormBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        int batch = x.Dimensions[0];
        var a = new Arguments<T>(
            gpu.View<T>(x), gpu.View<T>(dy), gpu.View<T>(weight), gpu.View<float>(statistics), gpu.View<float>(means), gpu.View<T>(dx), Size, batch);
        var reduce = gpu.Reduce<Means<T, TStorage>, Sums, Arguments<T>>(batch, a);
        var run = gpu.For(dx.Length, Run<T, TStorage>, a);
        return () =>
        {
            reduce();
            run();
        };
    }

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> OutputGradient, ArrayView<T> Weight, ArrayView<float> Statistics, ArrayView<float> Means,
        ArrayView<T> InputGradient, int Size, int Batch) where T : unmanaged;

    /// <summary>Of g, and of g xhat.</summary>
    internal readonly record struct Sums(float Gradient, float Product);

    internal readonly struct Means<T, TStorage> : IGpuReduction<Sums, Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static Sums Nothing => new(0f, 0f);
        public static int Items(Arguments<T> a, int row) => a.Size;

        public static Sums Load(Arguments<T> a, int row, int item)
        {
            float g = TStorage.Load(a.OutputGradient[row * a.Size + item]) * TStorage.Load(a.Weight[item]);
            return new(g, g * ((TStorage.Load(a.X[row * a.Size + item]) - a.Statistics[row]) * a.Statistics[a.Batch + row]));
        }

        public static Sums Combine(Sums x, Sums y) => new(x.Gradient + y.Gradient, x.Product + y.Product);

        public static void Store(Arguments<T> a, int row, Sums total)
        {
            a.Means[row] = total.Gradient / a.Size;
            a.Means[a.Batch + row] = total.Product / a.Size;
        }
    }

    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int row = i / a.Size;
        float inverse = a.Statistics[a.Batch + row], xhat = (TStorage.Load(a.X[i]) - a.Statistics[row]) * inverse;
        float g = TStorage.Load(a.OutputGradient[i]) * TStorage.Load(a.Weight[i - row * a.Size]);
        a.InputGradient[i] = TStorage.Store((g - a.Means[row] - xhat * a.Means[a.Batch + row]) * inverse);
    }
}

internal sealed partial class LayerNormWeightGradient
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(Size, Run<T, TStorage>, new Arguments<T>(
        gpu.View<T>(x), gpu.View<T>(dy), gpu.View<float>(statistics), gpu.View<T>(weightGradient), gpu.View<T>(biasGradient), Size, x.Dimensions[0]));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> OutputGradient, ArrayView<float> Statistics, ArrayView<T> WeightGradient, ArrayView<T> BiasGradient, int Size, int Batch) where T : unmanaged;

    /// <summary>One thread for each element of the weight.</summary>
    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        float sum = 0f, product = 0f;
        for (int n = 0; n < a.Batch; n++)
        {
            float g = TStorage.Load(a.OutputGradient[n * a.Size + i]);
            sum += g;
            product += g * ((TStorage.Load(a.X[n * a.Size + i]) - a.Statistics[n]) * a.Statistics[a.Batch + n]);
        }
        a.WeightGradient[i] = TStorage.Store(product);
        a.BiasGradient[i] = TStorage.Store(sum);
    }
}
