using ILGPU;
using ILGPU.Algorithms;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class LayerNormForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(x.Dimensions[0], Run<T, TStorage>, new Arguments<T>(
        gpu.View<T>(x), gpu.View<T>(weight), gpu.View<T>(bias), gpu.View<T>(y), gpu.View<float>(statistics), Size, x.Dimensions[0], eps));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> Weight, ArrayView<T> Bias, ArrayView<T> Y, ArrayView<float> Statistics, int Size, int Batch, float Eps) where T : unmanaged;

    /// <summary>One thread for each row.</summary>
    private static void Run<T, TStorage>(Index1D n, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int start = n * a.Size;
        float sum = 0f, squares = 0f;
        for (int i = 0; i < a.Size; i++) sum += TStorage.Load(a.X[start + i]);
        float mean = sum / a.Size;
        for (int i = 0; i < a.Size; i++)
        {
            float deviation = TStorage.Load(a.X[start + i]) - mean;
            squares += deviation * deviation;
        }
        float inverse = 1f / XMath.Sqrt(squares / a.Size + a.Eps);
        a.Statistics[n] = mean;
        a.Statistics[a.Batch + n] = inverse;
        for (int i = 0; i < a.Size; i++)
            a.Y[start + i] = TStorage.Store((TStorage.Load(a.X[start + i]) - mean) * inverse * TStorage.Load(a.Weight[i]) + TStorage.Load(a.Bias[i]));
    }
}

internal sealed partial class LayerNormBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(x.Dimensions[0], Run<T, TStorage>, new Arguments<T>(
        gpu.View<T>(x), gpu.View<T>(dy), gpu.View<T>(weight), gpu.View<float>(statistics), gpu.View<T>(dx), Size, x.Dimensions[0]));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> OutputGradient, ArrayView<T> Weight, ArrayView<float> Statistics, ArrayView<T> InputGradient, int Size, int Batch) where T : unmanaged;

    /// <summary>One thread for each row.</summary>
    private static void Run<T, TStorage>(Index1D n, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int start = n * a.Size;
        float mean = a.Statistics[n], inverse = a.Statistics[a.Batch + n], sum = 0f, product = 0f;
        for (int i = 0; i < a.Size; i++)
        {
            float g = TStorage.Load(a.OutputGradient[start + i]) * TStorage.Load(a.Weight[i]);
            sum += g;
            product += g * ((TStorage.Load(a.X[start + i]) - mean) * inverse);
        }
        float offset = sum / a.Size, slope = product / a.Size;
        for (int i = 0; i < a.Size; i++)
        {
            float xhat = (TStorage.Load(a.X[start + i]) - mean) * inverse;
            a.InputGradient[start + i] = TStorage.Store((TStorage.Load(a.OutputGradient[start + i]) * TStorage.Load(a.Weight[i]) - offset - xhat * slope) * inverse);
        }
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
