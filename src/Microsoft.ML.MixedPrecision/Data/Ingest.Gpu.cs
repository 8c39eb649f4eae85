using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class Ingest
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => InOrder
        ? gpu.Map<float, SingleStorage, T, TStorage, Unchanged>(features, input, new())
        : gpu.For(input.Length, ToNhwc<T, TStorage>, new Arguments<T>(gpu.View<float>(features), gpu.View<T>(input), shape.Height * shape.Width, shape.Channels));

    internal readonly record struct Arguments<T>(ArrayView<float> From, ArrayView<T> To, int Pixels, int Channels) where T : unmanaged;

    private static void ToNhwc<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int pixel = i / a.Channels, c = i - pixel * a.Channels;
        int n = pixel / a.Pixels, p = pixel - n * a.Pixels;
        a.To[i] = TStorage.Store(a.From[((long)n * a.Channels + c) * a.Pixels + p]);
    }
}
