using ILGPU;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ElementProduct
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.Map<T, TStorage, T, TStorage, Product<T, TStorage>>(a, y, new(gpu.Vectors<T>(b)));

    internal readonly record struct Product<T, TStorage>(ArrayView<T> Other) : IGpuMap where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public TVector Apply<TVector>(TVector values, int place) where TVector : unmanaged, IGpuVector<TVector> => values * TVector.Load<T, TStorage>(Other, place);
    }
}
