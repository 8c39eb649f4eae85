using ILGPU;

namespace Microsoft.ML.MixedPrecision;

// A row of outputs has up to 64 threads, eight outputs to each.

internal sealed partial class ElementLossRows<TLoss>
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => IlgpuBackend.ForRows(x.Dimensions[0], x.Dimensions[^1], new RowKernel<T, TStorage>(gpu, this));

    private sealed class RowKernel<T, TStorage>(IlgpuBackend gpu, ElementLossRows<TLoss> kernel) : IGpuRowKernel where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TVector>(RowLanes lanes) where TVector : unmanaged, IGpuVector<TVector> => kernel.Bind<T, TStorage, TVector>(gpu, lanes);
    }

    private Action Bind<T, TStorage, TVector>(IlgpuBackend gpu, RowLanes lanes) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> =>
        gpu.ForLanes(lanes, Run<T, TStorage, TVector>, new Arguments<T>(
            gpu.Vectors<T>(x), gpu.Vectors<float>(targets.Labels), gpu.View<float>(targets.Weights), gpu.View<int>(control.Counters),
            gpu.View<float>(rows.Losses), gpu.View<float>(rows.Weights), gpu.View<float>(rows.Metrics), lanes, parameter));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<float> Labels, ArrayView<float> Weights, ArrayView<int> Counters,
        ArrayView<float> Losses, ArrayView<float> RowWeights, ArrayView<float> Metrics, RowLanes Lanes, float Parameter) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = RowLanes.Share();
        int n = RowLanes.Row(a.Lanes), known = Math.Min(n, a.Lanes.Rows - 1), outputs = a.Lanes.Width;
        float weight = n < a.Lanes.Rows && n < a.Counters[StepControl.Rows] ? a.Weights[known] : 0f;
        int start = known * outputs, step = a.Lanes.Lanes * TVector.Width, end = weight == 0f ? 0 : outputs;
        float loss = 0f, metric = 0f;
        for (int o = RowLanes.Lane(a.Lanes) * TVector.Width; o < end; o += step)
        {
            var (value, label) = (TVector.Load<T, TStorage>(a.X, start + o), TVector.Load<float, SingleStorage>(a.Labels, start + o));
            loss += TVector.Sum(TVector.Map(new LossOf(a.Parameter), value, label));
            metric += TVector.Sum(TVector.Map(new MetricOf(), value, label));
        }
        loss = RowLanes.Sum(a.Lanes, loss, shared);
        metric = RowLanes.Sum(a.Lanes, metric, shared);
        if (RowLanes.Lane(a.Lanes) != 0 || n >= a.Lanes.Rows) return;
        a.RowWeights[n] = weight;
        a.Losses[n] = weight == 0f ? 0f : weight * (loss / outputs);
        a.Metrics[n] = weight == 0f ? 0f : weight * (metric / outputs);
    }

    internal readonly record struct LossOf(float Parameter) : IGpuFunction
    {
        public float Apply(float x, float y) => TLoss.Loss(x, y, Parameter);
    }

    internal readonly struct MetricOf : IGpuFunction
    {
        public float Apply(float x, float y) => TLoss.Metric(x, y);
    }
}

internal sealed partial class ElementLossGradient<TLoss>
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => IlgpuBackend.ForRows(x.Dimensions[0], x.Dimensions[^1], new RowKernel<T, TStorage>(gpu, this));

    private sealed class RowKernel<T, TStorage>(IlgpuBackend gpu, ElementLossGradient<TLoss> kernel) : IGpuRowKernel where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TVector>(RowLanes lanes) where TVector : unmanaged, IGpuVector<TVector> => kernel.Bind<T, TStorage, TVector>(gpu, lanes);
    }

    private Action Bind<T, TStorage, TVector>(IlgpuBackend gpu, RowLanes lanes) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> =>
        gpu.ForLanes(lanes, Run<T, TStorage, TVector>, new Arguments<T>(
            gpu.Vectors<T>(x), gpu.Vectors<T>(dx), gpu.Vectors<float>(targets.Labels), gpu.View<float>(rows.Weights), gpu.View<float>(control.Scales), lanes, parameter));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> Gradient, ArrayView<float> Labels, ArrayView<float> Weights, ArrayView<float> Scales, RowLanes Lanes, float Parameter) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int known = Math.Min(RowLanes.Row(a.Lanes), a.Lanes.Rows - 1), start = known * a.Lanes.Width, step = a.Lanes.Lanes * TVector.Width, end = RowLanes.End(a.Lanes);
        float weight = a.Weights[known], factor = weight * a.Scales[StepControl.LossSeed] / a.Lanes.Width;
        for (int o = RowLanes.Lane(a.Lanes) * TVector.Width; o < end; o += step)
        {
            var gradient = TVector.All(0f);
            if (weight != 0f)
                gradient = TVector.Map(new GradientOf(a.Parameter), TVector.Load<T, TStorage>(a.X, start + o), TVector.Load<float, SingleStorage>(a.Labels, start + o)) * factor;
            TVector.Store<T, TStorage>(a.Gradient, start + o, gradient);
        }
    }

    internal readonly record struct GradientOf(float Parameter) : IGpuFunction
    {
        public float Apply(float x, float y) => TLoss.Gradient(x, y, Parameter);
    }
}
