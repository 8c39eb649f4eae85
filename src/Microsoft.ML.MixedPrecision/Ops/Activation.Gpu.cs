using ILGPU;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ActivationForward<TFunction>
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.Map<T, TStorage, T, TStorage, Element>(x, y, new(parameter));

    public override Action Give<T, TStorage>(IlgpuBackend gpu, IGpuElementUser user) => user.With(new Element(parameter));
}

internal sealed partial class ActivationBackward<TFunction>
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.Map<T, TStorage, T, TStorage, GpuElement<T, TStorage>>(dy, dx, new(gpu.Vectors<T>(kept), parameter));

    public override Action Give<T, TStorage>(IlgpuBackend gpu, IGpuElementUser user) => user.With(new GpuElement<T, TStorage>(gpu.Vectors<T>(kept), parameter));

    internal readonly struct GpuElement<T, TStorage>(ArrayView<T> kept, float parameter) : IGpuElement, IGpuFunction where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static bool KeepsValues => false;

        private readonly ArrayView<T> _kept = kept;
        private readonly float _parameter = parameter;

        public float Apply(float value, int place) => TFunction.Backward(TStorage.Load(_kept[place]), value, _parameter);

        public TVector Apply<TVector>(TVector values, int place) where TVector : unmanaged, IGpuVector<TVector> =>
            TVector.Map(this, TVector.Load<T, TStorage>(_kept, place), values);

        public float Apply(float x, float y) => TFunction.Backward(x, y, _parameter);
    }
}
