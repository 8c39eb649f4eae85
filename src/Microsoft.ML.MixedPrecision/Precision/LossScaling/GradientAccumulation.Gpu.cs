using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class GradientAccumulation
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(sum.Length, Run<T, TStorage>,
        new Arguments<T>(gpu.View<T>(gradients), gpu.View<float>(sum), gpu.View<int>(control.Counters)));

    internal readonly record struct Arguments<T>(ArrayView<T> Gradients, ArrayView<float> Sum, ArrayView<int> Counters) where T : unmanaged;

    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        float g = TStorage.Load(a.Gradients[i]);
        a.Sum[i] = a.Counters[StepControl.Accumulated] == 1 ? g : a.Sum[i] + g;
    }
}
