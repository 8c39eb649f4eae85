using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ElementLossRows<TLoss>
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(x.Dimensions[0], Run<T, TStorage>, new Arguments<T>(
        gpu.View<T>(x), gpu.View<float>(targets.Labels), gpu.View<float>(targets.Weights), gpu.View<int>(control.Counters),
        gpu.View<float>(rows.Losses), gpu.View<float>(rows.Weights), gpu.View<float>(rows.Metrics), x.Dimensions[^1], parameter));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<float> Labels, ArrayView<float> Weights, ArrayView<int> Counters,
        ArrayView<float> Losses, ArrayView<float> RowWeights, ArrayView<float> Metrics, int Outputs, float Parameter) where T : unmanaged;

    private static void Run<T, TStorage>(Index1D n, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        float weight = a.Weights[n];
        if (n >= a.Counters[StepControl.Rows] || weight == 0f)
        {
            a.Losses[n] = 0f;
            a.RowWeights[n] = 0f;
            a.Metrics[n] = 0f;
            return;
        }
        int row = n * a.Outputs;
        float loss = 0f, metric = 0f;
        for (int o = 0; o < a.Outputs; o++)
        {
            float value = TStorage.Load(a.X[row + o]), label = a.Labels[row + o];
            loss += TLoss.Loss(value, label, a.Parameter);
            metric += TLoss.Metric(value, label);
        }
        a.RowWeights[n] = weight;
        a.Losses[n] = weight * (loss / a.Outputs);
        a.Metrics[n] = weight * (metric / a.Outputs);
    }
}

internal sealed partial class ElementLossGradient<TLoss>
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(x.Dimensions[0], Run<T, TStorage>, new Arguments<T>(
        gpu.View<T>(x), gpu.View<T>(dx), gpu.View<float>(targets.Labels), gpu.View<float>(rows.Weights), gpu.View<float>(control.Scales),
        x.Dimensions[^1], parameter));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> Gradient, ArrayView<float> Labels, ArrayView<float> Weights, ArrayView<float> Scales,
        int Outputs, float Parameter) where T : unmanaged;

    private static void Run<T, TStorage>(Index1D n, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int row = n * a.Outputs;
        float weight = a.Weights[n], factor = weight * a.Scales[StepControl.LossSeed] / a.Outputs;
        for (int o = 0; o < a.Outputs; o++)
        {
            float gradient = 0f;
            if (weight != 0f) gradient = TLoss.Gradient(TStorage.Load(a.X[row + o]), a.Labels[row + o], a.Parameter) * factor;
            a.Gradient[row + o] = TStorage.Store(gradient);
        }
    }
}
