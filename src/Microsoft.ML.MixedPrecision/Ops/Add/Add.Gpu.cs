using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class AddForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var user = new GpuUser<T, TStorage>(gpu, a, b, y);
        return next is null ? user.With(new Unchanged()) : next.Give<T, TStorage>(gpu, user);
    }

    private sealed class GpuUser<T, TStorage>(IlgpuBackend gpu, Tensor a, Tensor b, Tensor y) : IGpuElementUser
        where T : unmanaged
        where TStorage : struct, IStorage<T>
    {
        public Action With<TElement>(TElement element) where TElement : struct, IGpuElement =>
            gpu.For(y.Length, Run<T, TStorage, TElement>, new Arguments<T, TElement>(gpu.View<T>(a), gpu.View<T>(b), gpu.View<T>(y), element));
    }

    internal readonly record struct Arguments<T, TElement>(ArrayView<T> A, ArrayView<T> B, ArrayView<T> Y, TElement Element) where T : unmanaged where TElement : struct, IGpuElement;

    private static void Run<T, TStorage, TElement>(Index1D i, Arguments<T, TElement> a) where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement =>
        a.Y[i] = TStorage.Store(a.Element.Apply(TStorage.Load(a.A[i]) + TStorage.Load(a.B[i]), i));
}
