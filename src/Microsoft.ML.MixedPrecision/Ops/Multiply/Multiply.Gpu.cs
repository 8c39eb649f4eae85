using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ElementProduct
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) =>
        gpu.For(y.Length, Run<T, TStorage>, new Arguments<T>(gpu.View<T>(a), gpu.View<T>(b), gpu.View<T>(y)));

    internal readonly record struct Arguments<T>(ArrayView<T> A, ArrayView<T> B, ArrayView<T> Y) where T : unmanaged;

    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> =>
        a.Y[i] = TStorage.Store(TStorage.Load(a.A[i]) * TStorage.Load(a.B[i]));
}
