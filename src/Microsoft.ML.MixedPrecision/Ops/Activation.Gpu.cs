using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ActivationForward<TFunction>
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) =>
        gpu.For(y.Length, Run<T, TStorage>, new Arguments<T>(gpu.View<T>(x), gpu.View<T>(y), parameter));

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<T> Y, float Parameter) where T : unmanaged;

    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> =>
        a.Y[i] = TStorage.Store(TFunction.Forward(TStorage.Load(a.X[i]), a.Parameter));

    public override Action Give<T, TStorage>(IlgpuBackend gpu, IGpuElementUser user) => user.With(new Element(parameter));
}

internal sealed partial class ActivationBackward<TFunction>
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) =>
        gpu.For(dx.Length, Run<T, TStorage>, new Arguments<T>(gpu.View<T>(kept), gpu.View<T>(dy), gpu.View<T>(dx), parameter));

    internal readonly record struct Arguments<T>(ArrayView<T> Kept, ArrayView<T> OutputGradient, ArrayView<T> InputGradient, float Parameter) where T : unmanaged;

    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> =>
        a.InputGradient[i] = TStorage.Store(TFunction.Backward(TStorage.Load(a.Kept[i]), TStorage.Load(a.OutputGradient[i]), a.Parameter));

    public override Action Give<T, TStorage>(IlgpuBackend gpu, IGpuElementUser user) => user.With(new GpuElement<T, TStorage>(gpu.View<T>(kept), parameter));

    internal readonly struct GpuElement<T, TStorage>(ArrayView<T> kept, float parameter) : IGpuElement where T : unmanaged where TStorage : struct, IStorage<T>
    {
        private readonly ArrayView<T> _kept = kept;
        private readonly float _parameter = parameter;

        public float Apply(float value, int place) => TFunction.Backward(TStorage.Load(_kept[place]), value, _parameter);
    }
}
