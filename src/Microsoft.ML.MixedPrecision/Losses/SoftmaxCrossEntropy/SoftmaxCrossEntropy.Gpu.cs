using ILGPU;
using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

// A row of scores has up to 64 threads. The gradient waits for the weights of the whole batch, and so is a kernel of its own.

internal sealed partial class SoftmaxCrossEntropyRows
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => IlgpuBackend.ForRows(x.Dimensions[0], x.Dimensions[^1], new RowKernel<T, TStorage>(gpu, this));

    private sealed class RowKernel<T, TStorage>(IlgpuBackend gpu, SoftmaxCrossEntropyRows kernel) : IGpuRowKernel where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TVector>(RowLanes lanes) where TVector : unmanaged, IGpuVector<TVector> => kernel.Bind<T, TStorage, TVector>(gpu, lanes);
    }

    private Action Bind<T, TStorage, TVector>(IlgpuBackend gpu, RowLanes lanes) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> =>
        gpu.ForLanes(lanes, Run<T, TStorage, TVector>, new Arguments<T>(
            gpu.Vectors<T>(x), gpu.View<int>(targets.Labels), gpu.View<float>(targets.Weights), gpu.View<int>(control.Counters),
            gpu.View<float>(rows.Losses), gpu.View<float>(rows.Weights), gpu.View<float>(rows.Metrics), lanes, smoothing));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<int> Labels, ArrayView<float> Weights, ArrayView<int> Counters,
        ArrayView<float> Losses, ArrayView<float> RowWeights, ArrayView<float> Metrics, RowLanes Lanes, float Smoothing) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = SharedMemory.Allocate<float>(IlgpuBackend.ReductionThreads);
        int n = a.Lanes.Row, known = Math.Min(n, a.Lanes.Rows - 1), classes = a.Lanes.Width, label = a.Labels[known];
        float weight = n < a.Lanes.Rows && n < a.Counters[StepControl.Rows] ? a.Weights[known] : 0f;
        int start = known * classes, first = a.Lanes.Lane * TVector.Width, step = a.Lanes.Lanes * TVector.Width, end = weight == 0f ? 0 : classes;
        float max = float.NegativeInfinity, total = 0f, sum = 0f, better = 0f;
        for (int c = first; c < end; c += step)
        {
            var scores = TVector.Load<T, TStorage>(a.X, start + c);
            max = RowLanes.Larger(max, scores.Max());
            total += scores.Sum();
        }
        max = a.Lanes.Max(max, shared);
        var exponential = new ExponentialOf(max);
        for (int c = first; c < end; c += step) sum += exponential.Of<T, TStorage, TVector>(a.X, start + c).Sum();
        // Of equal scores the first class counts.
        for (int c = a.Lanes.Lane; c < Math.Min(label, end); c += a.Lanes.Lanes) better += TStorage.Load(a.X[start + c]) >= max ? 1f : 0f;
        total = a.Lanes.Sum(total, shared);
        sum = a.Lanes.Sum(sum, shared);
        better = a.Lanes.Sum(better, shared);
        if (a.Lanes.Lane != 0 || n >= a.Lanes.Rows) return;
        float loss = 0f, hit = 0f;
        if (weight != 0f)
        {
            float target = float.NaN; // where there is no such class: shows in the loss, and reads no other memory
            if (label >= 0 && label < classes)
            {
                float score = TStorage.Load(a.X[start + label]);
                target = (1f - a.Smoothing) * score;
                hit = score >= max && better == 0f ? weight : 0f;
            }
            if (a.Smoothing > 0f) target += a.Smoothing / classes * total; // 0 * -infinity would be NaN
            loss = weight * (max + XMath.Log(sum) - target);
        }
        a.Losses[n] = loss;
        a.RowWeights[n] = weight;
        a.Metrics[n] = hit;
    }
}

internal sealed partial class SoftmaxCrossEntropyGradient
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => IlgpuBackend.ForRows(x.Dimensions[0], x.Dimensions[^1], new RowKernel<T, TStorage>(gpu, this));

    private sealed class RowKernel<T, TStorage>(IlgpuBackend gpu, SoftmaxCrossEntropyGradient kernel) : IGpuRowKernel where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TVector>(RowLanes lanes) where TVector : unmanaged, IGpuVector<TVector> => kernel.Bind<T, TStorage, TVector>(gpu, lanes);
    }

    private Action Bind<T, TStorage, TVector>(IlgpuBackend gpu, RowLanes lanes) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> =>
        gpu.ForLanes(lanes, Run<T, TStorage, TVector>, new Arguments<T>(
            gpu.Vectors<T>(x), gpu.Vectors<T>(dx), gpu.View<int>(targets.Labels), gpu.View<float>(rows.Weights), gpu.View<float>(control.Scales), lanes, smoothing));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> Gradient, ArrayView<int> Labels, ArrayView<float> Weights, ArrayView<float> Scales, RowLanes Lanes, float Smoothing) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = SharedMemory.Allocate<float>(IlgpuBackend.ReductionThreads);
        int known = Math.Min(a.Lanes.Row, a.Lanes.Rows - 1), classes = a.Lanes.Width, label = a.Labels[known];
        int start = known * classes, first = a.Lanes.Lane * TVector.Width, step = a.Lanes.Lanes * TVector.Width, end = a.Lanes.End;
        float weight = a.Weights[known], factor = weight * a.Scales[StepControl.LossSeed], max = float.NegativeInfinity, sum = 0f;
        int read = weight == 0f ? 0 : end; // no score of a row that weighs nothing is looked at
        for (int c = first; c < read; c += step) max = RowLanes.Larger(max, TVector.Load<T, TStorage>(a.X, start + c).Max());
        var exponential = new ExponentialOf(a.Lanes.Max(max, shared));
        for (int c = first; c < read; c += step) sum += exponential.Of<T, TStorage, TVector>(a.X, start + c).Sum();
        float share = 1f / a.Lanes.Sum(sum, shared);
        if (label < 0 || label >= classes) factor = float.NaN; // no such class: the step is skipped
        var even = TVector.All(a.Smoothing / classes);
        for (int c = first; c < end; c += step)
        {
            var gradient = TVector.All(0f);
            if (weight != 0f) gradient = (exponential.Of<T, TStorage, TVector>(a.X, start + c) * share - even) * factor;
            TVector.Store<T, TStorage>(a.Gradient, start + c, gradient);
            if (weight == 0f || label < c || label >= c + TVector.Width) continue;
            float own = exponential.Apply(TStorage.Load(a.X[start + label]), 0f) * share - (a.Smoothing / classes + (1f - a.Smoothing));
            a.Gradient[start + label] = TStorage.Store(own * factor); // by the thread that stored its neighbours
        }
    }
}
