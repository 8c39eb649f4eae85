using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class GlobalAvgPool2dForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(y.Length, Run<T, TStorage>,
        new Arguments<T>(gpu.View<T>(x), gpu.View<T>(y), Pixels, y.Dimensions[1]));

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<T> Y, int Pixels, int Channels) where T : unmanaged;

    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int n = i / a.Channels, c = i - n * a.Channels;
        float sum = 0f;
        for (int p = 0; p < a.Pixels; p++) sum += TStorage.Load(a.X[(n * a.Pixels + p) * a.Channels + c]);
        a.Y[i] = TStorage.Store(sum / a.Pixels);
    }
}

internal sealed partial class GlobalAvgPool2dBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(dx.Length, Run<T, TStorage>,
        new Arguments<T>(gpu.View<T>(dy), gpu.View<T>(dx), Pixels, dy.Dimensions[1]));

    internal readonly record struct Arguments<T>(ArrayView<T> OutputGradient, ArrayView<T> InputGradient, int Pixels, int Channels) where T : unmanaged;

    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int pixel = i / a.Channels, c = i - pixel * a.Channels, n = pixel / a.Pixels;
        a.InputGradient[i] = TStorage.Store(TStorage.Load(a.OutputGradient[n * a.Channels + c]) / a.Pixels);
    }
}
