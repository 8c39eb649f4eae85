using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class GlobalAvgPool2dForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForChannels(y, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>,
        new Arguments<T>(gpu.Vectors<T>(x), gpu.Vectors<T>(y), Pixels, y.Dimensions[1]));

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<T> Y, int Pixels, int Channels) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Channels >> TVector.Shift, n = i / across, c = (i - n * across) * TVector.Width;
        var sum = TVector.All(0f);
        for (int p = 0; p < a.Pixels; p++) sum += TVector.Load<T, TStorage>(a.X, (n * a.Pixels + p) * a.Channels + c);
        TVector.Store<T, TStorage>(a.Y, n * a.Channels + c, sum * (1f / a.Pixels));
    }
}

internal sealed partial class GlobalAvgPool2dBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForChannels(dx, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>,
        new Arguments<T>(gpu.Vectors<T>(dy), gpu.Vectors<T>(dx), Pixels, dy.Dimensions[1]));

    internal readonly record struct Arguments<T>(ArrayView<T> OutputGradient, ArrayView<T> InputGradient, int Pixels, int Channels) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Channels >> TVector.Shift, pixel = i / across, c = (i - pixel * across) * TVector.Width, n = pixel / a.Pixels;
        TVector.Store<T, TStorage>(a.InputGradient, pixel * a.Channels + c, TVector.Load<T, TStorage>(a.OutputGradient, n * a.Channels + c) * (1f / a.Pixels));
    }
}
