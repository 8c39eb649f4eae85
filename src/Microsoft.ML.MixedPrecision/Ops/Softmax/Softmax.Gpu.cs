using ILGPU;
using ILGPU.Algorithms;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class SoftmaxForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(x.Length / x.Dimensions[^1], Run<T, TStorage>,
        new Arguments<T>(gpu.View<T>(x), gpu.View<T>(y), x.Dimensions[^1]));

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<T> Y, int Width) where T : unmanaged;

    /// <summary>One thread for each row.</summary>
    private static void Run<T, TStorage>(Index1D row, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int start = row * a.Width;
        float max = float.NegativeInfinity, sum = 0f;
        for (int c = 0; c < a.Width; c++)
        {
            float value = TStorage.Load(a.X[start + c]);
            max = value <= max ? max : value; // NaN wins
        }
        for (int c = 0; c < a.Width; c++) sum += XMath.Exp(TStorage.Load(a.X[start + c]) - max);
        for (int c = 0; c < a.Width; c++) a.Y[start + c] = TStorage.Store(XMath.Exp(TStorage.Load(a.X[start + c]) - max) / sum);
    }
}

internal sealed partial class SoftmaxBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(y.Length / y.Dimensions[^1], Run<T, TStorage>,
        new Arguments<T>(gpu.View<T>(y), gpu.View<T>(dy), gpu.View<T>(dx), y.Dimensions[^1]));

    internal readonly record struct Arguments<T>(ArrayView<T> Y, ArrayView<T> OutputGradient, ArrayView<T> InputGradient, int Width) where T : unmanaged;

    private static void Run<T, TStorage>(Index1D row, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int start = row * a.Width;
        float sum = 0f;
        for (int c = 0; c < a.Width; c++) sum += TStorage.Load(a.OutputGradient[start + c]) * TStorage.Load(a.Y[start + c]);
        for (int c = 0; c < a.Width; c++)
            a.InputGradient[start + c] = TStorage.Store(TStorage.Load(a.Y[start + c]) * (TStorage.Load(a.OutputGradient[start + c]) - sum));
    }
}
