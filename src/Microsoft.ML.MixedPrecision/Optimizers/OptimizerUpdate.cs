using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>An update rule for one element, for the kernels that are generic over it: sixteen at a time for the CPU, one for a GPU.</summary>
internal interface IUpdateRule<TSelf> where TSelf : unmanaged, IUpdateRule<TSelf>
{
    /// <summary>FP32 values of state that each element has: 0, 1 or 2.</summary>
    static abstract int StateCount { get; }

    /// <param name="w">The master weight; changed.</param>
    /// <param name="g">The gradient, unscaled and clipped.</param>
    /// <param name="first">The first state, if any; changed.</param>
    /// <param name="second">The second, if any; changed.</param>
    /// <param name="c">The coefficients of this update.</param>
    void Apply(ref Vector512<float> w, Vector512<float> g, ref Vector512<float> first, ref Vector512<float> second, in UpdateCoefficients c);

    /// <inheritdoc cref="Apply(ref Vector512{float}, Vector512{float}, ref Vector512{float}, ref Vector512{float}, in UpdateCoefficients)"/>
    void Apply(ref float w, float g, ref float first, ref float second, UpdateCoefficients c);
}

/// <summary>A row of the table of coefficients.</summary>
internal readonly record struct UpdateCoefficients(float LearningRate, float C1, float C2, float C3);

/// <summary>
/// For every element: g = gradient * multiplier; the rule; master = w; weight = half(w). FP32 throughout. Does nothing where
/// the step overflowed. Without masters, w is read from and written to the weights themselves.
/// </summary>
internal sealed unsafe partial class OptimizerUpdate<TRule>(string name, TRule rule, ParameterBlock block, Tensor gradients, StepControl control, Tensor coefficients) : Kernel
    where TRule : unmanaged, IUpdateRule<TRule>
{
    /// <summary>Elements updated before their weights are rounded: masters, state, gradients and weights of 1,024 are 12 to 16 KB of the 32 KB L1.</summary>
    private const int AtOnce = 1024;

    private readonly Tensor[] _state = [.. block.State];

    public override string Name { get; } = name + ".Update";
    public override IReadOnlyList<Tensor> Reads { get; } = [gradients, block.Masters, .. block.State, control.Counters, control.Scales, coefficients];
    public override IReadOnlyList<Tensor> Writes { get; } = [block.Weights, block.Masters, .. block.State];

    private bool HasMasters => block.Masters != block.Weights;

    /// <summary>The row of the table for a number of applied updates; past its end the last one holds.</summary>
    private int Row(int applied) => Math.Min(applied, coefficients.Dimensions[0] - 1);

    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        bool summed = gradients.Element == ElementType.Single;
        return (HasMasters, summed) switch
        {
            (true, true) => Bind<T, TStorage, float, CpuSingleStorage, float, CpuSingleStorage>(cpu),
            (true, false) => Bind<T, TStorage, float, CpuSingleStorage, T, TStorage>(cpu),
            (false, true) => Bind<T, TStorage, T, TStorage, float, CpuSingleStorage>(cpu),
            (false, false) => Bind<T, TStorage, T, TStorage, T, TStorage>(cpu),
        };
    }

    private Action Bind<T, TStorage, TMaster, TMasterStorage, TGradient, TGradientStorage>(CpuBackend cpu)
        where T : unmanaged where TStorage : struct, ICpuStorage<T>
        where TMaster : unmanaged where TMasterStorage : struct, ICpuStorage<TMaster>
        where TGradient : unmanaged where TGradientStorage : struct, ICpuStorage<TGradient>
    {
        T* weights = cpu.Pointer<T>(block.Weights);
        TMaster* masters = cpu.Pointer<TMaster>(block.Masters);
        TGradient* gradient = cpu.Pointer<TGradient>(gradients);
        float* first = _state.Length > 0 ? cpu.Pointer<float>(_state[0]) : null, second = _state.Length > 1 ? cpu.Pointer<float>(_state[1]) : null;
        float* scales = cpu.Pointer<float>(control.Scales), table = cpu.Pointer<float>(coefficients);
        int* counters = cpu.Pointer<int>(control.Counters);
        bool hasMasters = HasMasters;
        var run = cpu.For(block.Length, CpuBackend.ElementGrain, Run);
        return () => { if (counters[StepControl.Overflow] == 0) run(); };

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Run(long start, long end)
        {
            float* row = table + (long)Row(counters[StepControl.Applied]) * Optimizer.CoefficientCount;
            var c = new UpdateCoefficients(row[0], row[1], row[2], row[3]);
            var multiplier = Vector512.Create(scales[StepControl.GradientMultiplier]);
            var none = Vector512<float>.Zero;
            for (long part = start; part < end; part += AtOnce)
            {
                long next = Math.Min(end, part + AtOnce); // a multiple of 128
                for (long i = part; i < next; i += CpuVector.Width)
                {
                    var w = TMasterStorage.Load16(masters + i);
                    var g = TGradientStorage.LoadFinite16(gradient + i) * multiplier; // or the step would not be taken
                    var s1 = TRule.StateCount > 0 ? Vector512.Load(first + i) : none;
                    var s2 = TRule.StateCount > 1 ? Vector512.Load(second + i) : none;
                    rule.Apply(ref w, g, ref s1, ref s2, c);
                    TMasterStorage.Store16(w, masters + i);
                    if (TRule.StateCount > 0) s1.Store(first + i);
                    if (TRule.StateCount > 1) s2.Store(second + i);
                }
                if (hasMasters) TStorage.Store((float*)masters + part, weights + part, (int)(next - part));
            }
        }
    }
}
