using ILGPU;
using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

// A row has up to 64 threads, which keep its first 2,048 halves in registers; what lies behind is walked again for each of the steps.

internal sealed partial class SoftmaxForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => IlgpuBackend.ForRows((int)(x.Length / x.Dimensions[^1]), x.Dimensions[^1], new RowKernel<T, TStorage>(gpu, x, y));

    private sealed class RowKernel<T, TStorage>(IlgpuBackend gpu, Tensor x, Tensor y) : IGpuRowKernel where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TVector>(RowLanes lanes) where TVector : unmanaged, IGpuVector<TVector> =>
            gpu.ForLanes(lanes, Run<T, TStorage, TVector>, new Arguments<T>(gpu.Vectors<T>(x), gpu.Vectors<T>(y), lanes));
    }

    internal readonly struct Arguments<T>(ArrayView<T> x, ArrayView<T> y, RowLanes lanes) where T : unmanaged
    {
        public readonly ArrayView<T> X = x, Y = y;
        public readonly RowLanes Lanes = lanes;
    }

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = RowLanes.Share();
        var at = RowColumns.Of<TVector>(a.Lanes);
        var head = RowHead<TVector>.Load<T, TStorage>(a.X, at.Start, at);
        // NaN shows in the sum. Where the maximum is infinite, so does that.
        float max = RowHead<TVector>.Max(head);
        for (int c = at.Rest; c < at.End; c += at.Step) max = XMath.Max(max, TVector.Max(TVector.Load<T, TStorage>(a.X, at.Start + c)));
        var exponential = new ExponentialOf(RowLanes.Max(a.Lanes, max, shared));
        head = RowHead<TVector>.Map(exponential, head);
        float sum = RowHead<TVector>.Sum(head, at);
        for (int c = at.Rest; c < at.End; c += at.Step) sum += TVector.Sum(exponential.Of<T, TStorage, TVector>(a.X, at.Start + c));
        float share = 1f / RowLanes.Sum(a.Lanes, sum, shared);
        RowHead<TVector>.Store<T, TStorage>(a.Y, at, head * share);
        for (int c = at.Rest; c < at.End; c += at.Step) TVector.Store<T, TStorage>(a.Y, at.Start + c, exponential.Of<T, TStorage, TVector>(a.X, at.Start + c) * share);
    }
}

/// <summary>exp(x - max), at most 1.</summary>
internal readonly record struct ExponentialOf(float Max) : IGpuFunction
{
    public float Apply(float x, float y) => XMath.Exp(x - Max);

    public TVector Of<TVector>(TVector x) where TVector : unmanaged, IGpuVector<TVector> => TVector.Map(this, x, x);

    public TVector Of<T, TStorage, TVector>(ArrayView<T> from, int place) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> =>
        Of(TVector.Load<T, TStorage>(from, place));
}

internal sealed partial class SoftmaxBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) =>
        IlgpuBackend.ForRows((int)(y.Length / y.Dimensions[^1]), y.Dimensions[^1], new RowKernel<T, TStorage>(gpu, y, dy, dx));

    private sealed class RowKernel<T, TStorage>(IlgpuBackend gpu, Tensor y, Tensor dy, Tensor dx) : IGpuRowKernel where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TVector>(RowLanes lanes) where TVector : unmanaged, IGpuVector<TVector> =>
            gpu.ForLanes(lanes, Run<T, TStorage, TVector>, new Arguments<T>(gpu.Vectors<T>(y), gpu.Vectors<T>(dy), gpu.Vectors<T>(dx), lanes));
    }

    internal readonly struct Arguments<T>(ArrayView<T> y, ArrayView<T> outputGradient, ArrayView<T> inputGradient, RowLanes lanes) where T : unmanaged
    {
        public readonly ArrayView<T> Y = y, OutputGradient = outputGradient, InputGradient = inputGradient;
        public readonly RowLanes Lanes = lanes;
    }

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = RowLanes.Share();
        var at = RowColumns.Of<TVector>(a.Lanes);
        RowHead<TVector> y = RowHead<TVector>.Load<T, TStorage>(a.Y, at.Start, at), gradient = RowHead<TVector>.Load<T, TStorage>(a.OutputGradient, at.Start, at);
        float sum = RowHead<TVector>.Sum(gradient * y, at);
        for (int c = at.Rest; c < at.End; c += at.Step) sum += TVector.Sum(TVector.Load<T, TStorage>(a.OutputGradient, at.Start + c) * TVector.Load<T, TStorage>(a.Y, at.Start + c));
        var mean = TVector.All(RowLanes.Sum(a.Lanes, sum, shared));
        RowHead<TVector>.Store<T, TStorage>(a.InputGradient, at, y * (gradient - mean));
        for (int c = at.Rest; c < at.End; c += at.Step)
            TVector.Store<T, TStorage>(a.InputGradient, at.Start + c, TVector.Load<T, TStorage>(a.Y, at.Start + c) * (TVector.Load<T, TStorage>(a.OutputGradient, at.Start + c) - mean));
    }
}
