using ILGPU;

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
            gpu.Map<T, TStorage, T, TStorage, Sum<T, TStorage, TElement>>(a, y, new(gpu.Vectors<T>(b), element));
    }

    internal readonly record struct Sum<T, TStorage, TElement>(ArrayView<T> Other, TElement Element) : IGpuMap
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement
    {
        public TVector Apply<TVector>(TVector values, int place) where TVector : unmanaged, IGpuVector<TVector> =>
            Element.Apply(values + TVector.Load<T, TStorage>(Other, place), place);
    }
}
