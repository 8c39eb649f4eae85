using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class Poison
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => tensor.Element == ElementType.Single
        ? gpu.For(tensor.Length, Fill<float, SingleStorage>, gpu.View<float>(tensor))
        : gpu.For(tensor.Length, Fill<T, TStorage>, gpu.View<T>(tensor));

    private static void Fill<T, TStorage>(Index1D i, ArrayView<T> to) where T : unmanaged where TStorage : struct, IStorage<T> =>
        to[i] = TStorage.Store(float.NaN);
}
