using ILGPU;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class GradientAccumulation
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.Map<T, TStorage, float, SingleStorage, Accumulate>(
        gradients, sum, new(gpu.Vectors<float>(sum), gpu.View<int>(control.Counters)));

    /// <summary>The first pass sets the sum, which holds anything; the others add to it.</summary>
    internal readonly record struct Accumulate(ArrayView<float> Sum, ArrayView<int> Counters) : IGpuMap
    {
        public TVector Apply<TVector>(TVector gradients, int place) where TVector : unmanaged, IGpuVector<TVector> =>
            Counters[StepControl.Accumulated] == 1 ? gradients : TVector.Load<float, SingleStorage>(Sum, place) + gradients;
    }
}
