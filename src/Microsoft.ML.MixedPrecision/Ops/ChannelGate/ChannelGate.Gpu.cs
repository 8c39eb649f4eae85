using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ChannelProduct
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForChannels(y, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>,
        new Arguments<T>(gpu.Vectors<T>(x), gpu.Vectors<T>(gate), gpu.Vectors<T>(y), Pixels, Channels));

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<T> Gate, ArrayView<T> Y, int Pixels, int Channels) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Channels >> TVector.Shift, pixel = i / across, c = (i - pixel * across) * TVector.Width, n = pixel / a.Pixels;
        TVector.Store<T, TStorage>(a.Y, pixel * a.Channels + c, TVector.Load<T, TStorage>(a.X, pixel * a.Channels + c) * TVector.Load<T, TStorage>(a.Gate, n * a.Channels + c));
    }
}

internal sealed partial class ChannelProductSum
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForChannels(sums, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>,
        new Arguments<T>(Pixels, Channels, gpu.Vectors<T>(dy), gpu.Vectors<T>(x), gpu.Vectors<T>(sums)));

    internal readonly record struct Arguments<T>(int Pixels, int Channels, ArrayView<T> OutputGradient, ArrayView<T> X, ArrayView<T> Sums) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Channels >> TVector.Shift, n = i / across, c = (i - n * across) * TVector.Width;
        var sum = TVector.All(0f);
        int place = n * a.Pixels * a.Channels + c;
        for (int p = 0; p < a.Pixels; p++) sum += TVector.Load<T, TStorage>(a.OutputGradient, place + p * a.Channels) * TVector.Load<T, TStorage>(a.X, place + p * a.Channels);
        TVector.Store<T, TStorage>(a.Sums, n * a.Channels + c, sum);
    }
}
