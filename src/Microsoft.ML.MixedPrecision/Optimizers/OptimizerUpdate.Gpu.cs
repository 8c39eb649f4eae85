using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class OptimizerUpdate<TRule>
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => (HasMasters, gradients.Element == ElementType.Single) switch
    {
        (true, true) => Bind<T, TStorage, float, SingleStorage, float, SingleStorage>(gpu),
        (true, false) => Bind<T, TStorage, float, SingleStorage, T, TStorage>(gpu),
        (false, true) => Bind<T, TStorage, T, TStorage, float, SingleStorage>(gpu),
        (false, false) => Bind<T, TStorage, T, TStorage, T, TStorage>(gpu),
    };

    private Action Bind<T, TStorage, TMaster, TMasterStorage, TGradient, TGradientStorage>(IlgpuBackend gpu)
        where T : unmanaged where TStorage : struct, IStorage<T>
        where TMaster : unmanaged where TMasterStorage : struct, IStorage<TMaster>
        where TGradient : unmanaged where TGradientStorage : struct, IStorage<TGradient>
    {
        // A rule without state is given the scales in its place: views that exist, and are not touched.
        var none = gpu.View<float>(control.Scales);
        return gpu.For(block.Length, Run<T, TStorage, TMaster, TMasterStorage, TGradient, TGradientStorage>, new Arguments<T, TMaster, TGradient>(
            gpu.View<T>(block.Weights), gpu.View<TMaster>(block.Masters), gpu.View<TGradient>(gradients),
            _state.Length > 0 ? gpu.View<float>(_state[0]) : none, _state.Length > 1 ? gpu.View<float>(_state[1]) : none,
            gpu.View<float>(control.Scales), gpu.View<int>(control.Counters), gpu.View<float>(coefficients), coefficients.Dimensions[0], rule));
    }

    internal readonly record struct Arguments<T, TMaster, TGradient>(
        ArrayView<T> Weights, ArrayView<TMaster> Masters, ArrayView<TGradient> Gradients, ArrayView<float> First, ArrayView<float> Second,
        ArrayView<float> Scales, ArrayView<int> Counters, ArrayView<float> Coefficients, int Rows, TRule Rule)
        where T : unmanaged where TMaster : unmanaged where TGradient : unmanaged;

    private static void Run<T, TStorage, TMaster, TMasterStorage, TGradient, TGradientStorage>(Index1D i, Arguments<T, TMaster, TGradient> a)
        where T : unmanaged where TStorage : struct, IStorage<T>
        where TMaster : unmanaged where TMasterStorage : struct, IStorage<TMaster>
        where TGradient : unmanaged where TGradientStorage : struct, IStorage<TGradient>
    {
        if (a.Counters[StepControl.Overflow] != 0) return;
        int row = Math.Min(a.Counters[StepControl.Applied], a.Rows - 1) * Optimizer.CoefficientCount;
        var c = new UpdateCoefficients(a.Coefficients[row], a.Coefficients[row + 1], a.Coefficients[row + 2], a.Coefficients[row + 3]);
        float w = TMasterStorage.Load(a.Masters[i]), g = TGradientStorage.Load(a.Gradients[i]) * a.Scales[StepControl.GradientMultiplier];
        float first = TRule.StateCount > 0 ? a.First[i] : 0f, second = TRule.StateCount > 1 ? a.Second[i] : 0f;
        a.Rule.Apply(ref w, g, ref first, ref second, c);
        a.Masters[i] = TMasterStorage.Store(w);
        a.Weights[i] = TStorage.Store(w);
        if (TRule.StateCount > 0) a.First[i] = first;
        if (TRule.StateCount > 1) a.Second[i] = second;
    }
}
