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
        return gpu.ForVectors(block.Length, Run<T, TStorage, TMaster, TMasterStorage, TGradient, TGradientStorage>, new Arguments<T, TMaster, TGradient>(
            gpu.Vectors<T>(block.Weights), gpu.Vectors<TMaster>(block.Masters), gpu.Vectors<TGradient>(gradients),
            _state.Length > 0 ? gpu.Vectors<float>(_state[0]) : none, _state.Length > 1 ? gpu.Vectors<float>(_state[1]) : none,
            gpu.View<float>(control.Scales), gpu.View<int>(control.Counters), gpu.View<float>(coefficients), coefficients.Dimensions[0], HasMasters ? 1 : 0, rule));
    }

    internal readonly record struct Arguments<T, TMaster, TGradient>(
        ArrayView<T> Weights, ArrayView<TMaster> Masters, ArrayView<TGradient> Gradients, ArrayView<float> First, ArrayView<float> Second,
        ArrayView<float> Scales, ArrayView<int> Counters, ArrayView<float> Coefficients, int Rows, int HasMasters, TRule Rule)
        where T : unmanaged where TMaster : unmanaged where TGradient : unmanaged;

    /// <summary>Unscaling, clipping, decay, state, master and working copy in one pass: each is read and written once.</summary>
    private static void Run<T, TStorage, TMaster, TMasterStorage, TGradient, TGradientStorage>(Index1D eight, Arguments<T, TMaster, TGradient> a)
        where T : unmanaged where TStorage : struct, IStorage<T>
        where TMaster : unmanaged where TMasterStorage : struct, IStorage<TMaster>
        where TGradient : unmanaged where TGradientStorage : struct, IStorage<TGradient>
    {
        if (a.Counters[StepControl.Overflow] != 0) return;
        int row = Math.Min(a.Counters[StepControl.Applied], a.Rows - 1) * Optimizer.CoefficientCount, place = eight * 8;
        var c = new UpdateCoefficients(a.Coefficients[row], a.Coefficients[row + 1], a.Coefficients[row + 2], a.Coefficients[row + 3]);
        var w = TMasterStorage.Load8(a.Masters, place);
        var g = TGradientStorage.Load8(a.Gradients, place) * a.Scales[StepControl.GradientMultiplier];
        var first = TRule.StateCount > 0 ? SingleStorage.Load8(a.First, place) : default;
        var second = TRule.StateCount > 1 ? SingleStorage.Load8(a.Second, place) : default;
        Element e0 = new(a.Rule, w.E0, g.E0, first.E0, second.E0, c), e1 = new(a.Rule, w.E1, g.E1, first.E1, second.E1, c);
        Element e2 = new(a.Rule, w.E2, g.E2, first.E2, second.E2, c), e3 = new(a.Rule, w.E3, g.E3, first.E3, second.E3, c);
        Element e4 = new(a.Rule, w.E4, g.E4, first.E4, second.E4, c), e5 = new(a.Rule, w.E5, g.E5, first.E5, second.E5, c);
        Element e6 = new(a.Rule, w.E6, g.E6, first.E6, second.E6, c), e7 = new(a.Rule, w.E7, g.E7, first.E7, second.E7, c);
        w = new(e0.Weight, e1.Weight, e2.Weight, e3.Weight, e4.Weight, e5.Weight, e6.Weight, e7.Weight);
        TMasterStorage.Store8(a.Masters, place, w);
        if (a.HasMasters != 0) TStorage.Store8(a.Weights, place, w);
        if (TRule.StateCount > 0) SingleStorage.Store8(a.First, place, new(e0.First, e1.First, e2.First, e3.First, e4.First, e5.First, e6.First, e7.First));
        if (TRule.StateCount > 1) SingleStorage.Store8(a.Second, place, new(e0.Second, e1.Second, e2.Second, e3.Second, e4.Second, e5.Second, e6.Second, e7.Second));
    }

    /// <summary>A weight and its state after the update.</summary>
    private readonly struct Element
    {
        public readonly float Weight, First, Second;

        public Element(TRule rule, float w, float g, float first, float second, UpdateCoefficients c)
        {
            rule.Apply(ref w, g, ref first, ref second, c);
            (Weight, First, Second) = (w, first, second);
        }
    }
}
