using ILGPU;
using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

// A row has up to 64 threads: each walks its columns again for each of the steps, and finds them in the cache.

internal sealed partial class SoftmaxForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => IlgpuBackend.ForRows((int)(x.Length / x.Dimensions[^1]), x.Dimensions[^1], new RowKernel<T, TStorage>(gpu, x, y));

    private sealed class RowKernel<T, TStorage>(IlgpuBackend gpu, Tensor x, Tensor y) : IGpuRowKernel where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TVector>(RowLanes lanes) where TVector : unmanaged, IGpuVector<TVector> =>
            gpu.ForLanes(lanes, Run<T, TStorage, TVector>, new Arguments<T>(gpu.Vectors<T>(x), gpu.Vectors<T>(y), lanes));
    }

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<T> Y, RowLanes Lanes) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = SharedMemory.Allocate<float>(IlgpuBackend.ReductionThreads);
        int start = a.Lanes.Row * a.Lanes.Width, first = a.Lanes.Lane * TVector.Width, step = a.Lanes.Lanes * TVector.Width, end = a.Lanes.End;
        float max = float.NegativeInfinity, sum = 0f;
        for (int c = first; c < end; c += step) max = RowLanes.Larger(max, TVector.Load<T, TStorage>(a.X, start + c).Max());
        var exponential = new ExponentialOf(a.Lanes.Max(max, shared));
        for (int c = first; c < end; c += step) sum += exponential.Of<T, TStorage, TVector>(a.X, start + c).Sum();
        float share = 1f / a.Lanes.Sum(sum, shared);
        for (int c = first; c < end; c += step) TVector.Store<T, TStorage>(a.Y, start + c, exponential.Of<T, TStorage, TVector>(a.X, start + c) * share);
    }
}

/// <summary>exp(x - max), at most 1.</summary>
internal readonly record struct ExponentialOf(float Max) : IGpuFunction
{
    public float Apply(float x, float y) => XMath.Exp(x - Max);

    public TVector Of<T, TStorage, TVector>(ArrayView<T> from, int place) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var x = TVector.Load<T, TStorage>(from, place);
        return TVector.Map(this, x, x);
    }
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

    internal readonly record struct Arguments<T>(ArrayView<T> Y, ArrayView<T> OutputGradient, ArrayView<T> InputGradient, RowLanes Lanes) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = SharedMemory.Allocate<float>(IlgpuBackend.ReductionThreads);
        int start = a.Lanes.Row * a.Lanes.Width, first = a.Lanes.Lane * TVector.Width, step = a.Lanes.Lanes * TVector.Width, end = a.Lanes.End;
        float sum = 0f;
        for (int c = first; c < end; c += step) sum += (TVector.Load<T, TStorage>(a.OutputGradient, start + c) * TVector.Load<T, TStorage>(a.Y, start + c)).Sum();
        var mean = TVector.All(a.Lanes.Sum(sum, shared));
        for (int c = first; c < end; c += step)
            TVector.Store<T, TStorage>(a.InputGradient, start + c, TVector.Load<T, TStorage>(a.Y, start + c) * (TVector.Load<T, TStorage>(a.OutputGradient, start + c) - mean));
    }
}
