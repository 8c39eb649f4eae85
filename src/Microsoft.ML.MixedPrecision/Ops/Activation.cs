using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>A function of one element, for kernels that are generic over it: sixteen at a time for the CPU, one for a GPU.</summary>
internal interface IActivation
{
    /// <summary>True where backward is written in terms of the output, so that the input need not be kept.</summary>
    static abstract bool FromOutput { get; }

    /// <summary>True where neither direction changes by rounding its argument before instead of its result after: see <see cref="ElementKernel.CommutesWithRounding"/>.</summary>
    static virtual bool CommutesWithRounding => false;

    /// <summary>True where the gradient stays as it is or becomes 0: see <see cref="ICpuElement.KeepsOrDrops"/>.</summary>
    static virtual bool GradientKeepsOrDrops => false;

    /// <param name="parameter">The op's, such as a slope; most functions have none.</param>
    static abstract Vector512<float> Forward(Vector512<float> x, float parameter);

    /// <summary>f'(x) * dy, given x, or y where <see cref="FromOutput"/>.</summary>
    static abstract Vector512<float> Backward(Vector512<float> kept, Vector512<float> dy, float parameter);

    static abstract float Forward(float x, float parameter);
    static abstract float Backward(float kept, float dy, float parameter);
}

/// <summary>An op that applies one function to every element. Its folder adds the function; the kernels are here.</summary>
/// <param name="parameter">The function's, such as a slope.</param>
internal abstract class Activation<TFunction>(float parameter = 0f) : Op where TFunction : struct, IActivation
{
    protected float Parameter { get; } = parameter;

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0];
    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        pass.Run(new ActivationForward<TFunction>(Kind, pass.Input(0), y, Parameter));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        if (!pass.NeedsInputGradient(0)) return;
        var kept = TFunction.FromOutput ? pass.Output : pass.Input(0);
        pass.Run(new ActivationBackward<TFunction>(Kind, kept, pass.OutputGradient, pass.NewInputGradient(0), Parameter));
    }
}

/// <summary>y = f(x), element by element.</summary>
internal sealed unsafe partial class ActivationForward<TFunction>(string kind, Tensor x, Tensor y, float parameter) : ElementKernel where TFunction : struct, IActivation
{
    public override Tensor From => x;
    public override Tensor To => y;
    public override bool CommutesWithRounding => TFunction.CommutesWithRounding;
    public override string Name { get; } = kind + ".Forward";
    public override IReadOnlyList<Tensor> Reads { get; } = [x];
    public override IReadOnlyList<Tensor> Writes { get; } = [y];

    public override Action BindCpu<T, TStorage>(CpuBackend cpu) => cpu.Map<T, TStorage, Element>(x, x, y, new(parameter));

    public override Action Give<T, TStorage>(CpuBackend cpu, ICpuElementUser user) => user.With(new Element(parameter));

    /// <summary>f, for the kernel that computes its argument.</summary>
    internal readonly struct Element(float parameter) : ICpuMap, ICpuElement, IGpuElement, IGpuFunction
    {
        public static bool KeepsValues => false;
        public static bool KeepsOrDrops => false;

        private readonly float _parameter = parameter;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Apply(Vector512<float> x, Vector512<float> same, long place) => TFunction.Forward(x, _parameter);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Apply(Vector512<float> value, long place) => TFunction.Forward(value, _parameter);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Apply(Vector512<float> value, long place, int count) => TFunction.Forward(value, _parameter);

        public float Apply(float value, int place) => TFunction.Forward(value, _parameter);

        public TVector Apply<TVector>(TVector values, int place) where TVector : unmanaged, IGpuVector<TVector> => TVector.Map(this, values, values);

        public float Apply(float x, float y) => TFunction.Forward(x, _parameter);
    }
}

/// <summary>dx = f'(x) dy, element by element.</summary>
internal sealed unsafe partial class ActivationBackward<TFunction>(string kind, Tensor kept, Tensor dy, Tensor dx, float parameter) : ElementKernel where TFunction : struct, IActivation
{
    public override Tensor From => dy;
    public override Tensor To => dx;
    public override bool CommutesWithRounding => TFunction.CommutesWithRounding;
    public override string Name { get; } = kind + ".Backward";
    public override IReadOnlyList<Tensor> Reads { get; } = [kept, dy];
    public override IReadOnlyList<Tensor> Writes { get; } = [dx];

    public override Action BindCpu<T, TStorage>(CpuBackend cpu) =>
        TFunction.GradientKeepsOrDrops ? Selected<T, TStorage>(cpu) : cpu.Map<T, TStorage, Product>(kept, dy, dx, new(parameter));

    /// <summary>The gradient as it is stored, or 0: nothing is rounded.</summary>
    private Action Selected<T, TStorage>(CpuBackend cpu)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        T* k = cpu.Pointer<T>(kept), from = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx);
        return cpu.For(dx.Length, CpuBackend.ElementGrain, Run);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Run(long start, long end)
        {
            long i = start;
            for (; i <= end - CpuVector.Width; i += CpuVector.Width)
                TStorage.Select16(from + i, TFunction.Backward(TStorage.Load16(k + i), Vector512<float>.AllBitsSet, parameter), to + i);
            if (i == end) return;
            int rest = (int)(end - i);
            CpuVector.Store<T, TStorage>(TFunction.Backward(CpuVector.Load<T, TStorage>(k + i, rest), CpuVector.Load<T, TStorage>(from + i, rest), parameter), to + i, rest);
        }
    }

    public override Action Give<T, TStorage>(CpuBackend cpu, ICpuElementUser user) => user.With(new Element<T, TStorage>(cpu.Pointer<T>(kept), parameter));

    private readonly struct Product(float parameter) : ICpuMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Apply(Vector512<float> kept, Vector512<float> dy, long place) => TFunction.Backward(kept, dy, parameter);
    }

    /// <summary>f'(x) times what the kernel before computes.</summary>
    internal readonly struct Element<T, TStorage>(T* kept, float parameter) : ICpuElement
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        public static bool KeepsOrDrops => TFunction.GradientKeepsOrDrops;

        private readonly T* _kept = kept;
        private readonly float _parameter = parameter;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Apply(Vector512<float> value, long place) => TFunction.Backward(TStorage.Load16(_kept + place), value, _parameter);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Apply(Vector512<float> value, long place, int count) => TFunction.Backward(CpuVector.Load<T, TStorage>(_kept + place, count), value, _parameter);
    }
}
