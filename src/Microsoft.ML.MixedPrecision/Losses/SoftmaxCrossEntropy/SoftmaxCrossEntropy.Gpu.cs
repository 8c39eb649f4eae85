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

    internal readonly struct Arguments<T>(
        ArrayView<T> x, ArrayView<int> labels, ArrayView<float> weights, ArrayView<int> counters, ArrayView<float> losses,
        ArrayView<float> rowWeights, ArrayView<float> metrics, RowLanes lanes, float smoothing) where T : unmanaged
    {
        public readonly ArrayView<T> X = x;
        public readonly ArrayView<int> Labels = labels;
        public readonly ArrayView<float> Weights = weights;
        public readonly ArrayView<int> Counters = counters;
        public readonly ArrayView<float> Losses = losses, RowWeights = rowWeights, Metrics = metrics;
        public readonly RowLanes Lanes = lanes;
        public readonly float Smoothing = smoothing;
    }

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = RowLanes.Share();
        int n = RowLanes.Row(a.Lanes), known = Math.Min(n, a.Lanes.Rows - 1), classes = a.Lanes.Width, label = a.Labels[known];
        float weight = n < a.Lanes.Rows && n < a.Counters[StepControl.Rows] ? a.Weights[known] : 0f;
        var at = RowColumns.Until(RowColumns.Of<TVector>(a.Lanes), weight == 0f ? 0 : classes);
        int start = at.Start, end = at.End;
        var head = RowHead<TVector>.Load<T, TStorage>(a.X, start, at); // waits for no weight; what weighs nothing is not looked at
        float max = RowHead<TVector>.Max(head), total = RowHead<TVector>.Sum(head, at), better = 0f;
        for (int c = at.Rest; c < end; c += at.Step)
        {
            var scores = TVector.Load<T, TStorage>(a.X, start + c);
            max = XMath.Max(max, TVector.Max(scores));
            total += TVector.Sum(scores);
        }
        max = RowLanes.Max(a.Lanes, max, shared);
        var exponential = new ExponentialOf(max);
        float sum = RowHead<TVector>.Sum(RowHead<TVector>.Map(exponential, head), at);
        for (int c = at.Rest; c < end; c += at.Step) sum += TVector.Sum(exponential.Of<T, TStorage, TVector>(a.X, start + c));
        // Of equal scores the first class counts.
        for (int c = RowLanes.Lane(a.Lanes); c < Math.Min(label, end); c += a.Lanes.Lanes) better += TStorage.Load(a.X[start + c]) >= max ? 1f : 0f;
        total = RowLanes.Sum(a.Lanes, total, shared);
        sum = RowLanes.Sum(a.Lanes, sum, shared);
        better = RowLanes.Sum(a.Lanes, better, shared);
        if (RowLanes.Lane(a.Lanes) != 0 || n >= a.Lanes.Rows) return;
        float loss = 0f, hit = 0f;
        if (weight != 0f)
        {
            float target = float.NaN; // where there is no such class: shows in the loss, and reads no other memory
            if (label >= 0 && label < classes)
            {
                float score = TStorage.Load(a.X[start + label]);
                target = (1f - a.Smoothing) * score;
                hit = score >= max && better == 0f && sum > 0f ? weight : 0f; // a NaN is no largest: there the sum is NaN
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

    internal readonly struct Arguments<T>(ArrayView<T> x, ArrayView<T> gradient, ArrayView<int> labels, ArrayView<float> weights, ArrayView<float> scales, RowLanes lanes, float smoothing) where T : unmanaged
    {
        public readonly ArrayView<T> X = x, Gradient = gradient;
        public readonly ArrayView<int> Labels = labels;
        public readonly ArrayView<float> Weights = weights, Scales = scales;
        public readonly RowLanes Lanes = lanes;
        public readonly float Smoothing = smoothing;
    }

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = RowLanes.Share();
        int known = Math.Min(RowLanes.Row(a.Lanes), a.Lanes.Rows - 1), classes = a.Lanes.Width, label = a.Labels[known];
        var at = RowColumns.Of<TVector>(a.Lanes);
        var head = RowHead<TVector>.Load<T, TStorage>(a.X, at.Start, at);
        float weight = a.Weights[known], factor = weight * a.Scales[StepControl.LossSeed], max = RowHead<TVector>.Max(head);
        int read = weight == 0f ? 0 : at.End; // no score of a row that weighs nothing is looked at
        for (int c = at.Rest; c < read; c += at.Step) max = XMath.Max(max, TVector.Max(TVector.Load<T, TStorage>(a.X, at.Start + c)));
        var exponential = new ExponentialOf(RowLanes.Max(a.Lanes, max, shared));
        head = RowHead<TVector>.Map(exponential, head);
        float sum = RowHead<TVector>.Sum(head, at);
        for (int c = at.Rest; c < read; c += at.Step) sum += TVector.Sum(exponential.Of<T, TStorage, TVector>(a.X, at.Start + c));
        float share = 1f / RowLanes.Sum(a.Lanes, sum, shared);
        var zero = TVector.All(0f);
        if (weight == 0f)
        {
            RowHead<TVector>.Store<T, TStorage>(a.Gradient, at, new(zero, zero, zero, zero));
            for (int c = at.Rest; c < at.End; c += at.Step) TVector.Store<T, TStorage>(a.Gradient, at.Start + c, zero);
            return;
        }
        if (label < 0 || label >= classes) factor = float.NaN; // no such class: the step is skipped
        var even = TVector.All(a.Smoothing / classes);
        RowHead<TVector>.Store<T, TStorage>(a.Gradient, at, (head * share - even) * factor);
        for (int c = at.Rest; c < at.End; c += at.Step)
            TVector.Store<T, TStorage>(a.Gradient, at.Start + c, (exponential.Of<T, TStorage, TVector>(a.X, at.Start + c) * share - even) * factor);
        if (label < 0 || label >= at.End || ((label >> TVector.Shift) & (a.Lanes.Lanes - 1)) != RowLanes.Lane(a.Lanes)) return;
        float own = exponential.Apply(TStorage.Load(a.X[at.Start + label]), 0f) * share - (a.Smoothing / classes + (1f - a.Smoothing));
        a.Gradient[at.Start + label] = TStorage.Store(own * factor); // by the thread that stored its neighbours
    }
}
