using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class LossTotal
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(1, Total, new Arguments(
        gpu.View<float>(rows.Losses), gpu.View<float>(rows.Weights), gpu.View<float>(rows.Metrics),
        gpu.View<float>(control.Scales), gpu.View<float>(control.Log), gpu.View<int>(control.Counters),
        (int)rows.Losses.Length, microSteps, training ? 1 : 0));

    internal readonly record struct Arguments(
        ArrayView<float> Losses, ArrayView<float> Weights, ArrayView<float> Metrics,
        ArrayView<float> Scales, ArrayView<float> Log, ArrayView<int> Counters, int Batch, int MicroSteps, int Training);

    private static void Total(Index1D _, Arguments a)
    {
        float loss = 0f, weight = 0f, metric = 0f;
        for (int i = 0; i < a.Batch; i++)
        {
            loss += a.Losses[i];
            weight += a.Weights[i];
            metric += a.Metrics[i];
        }
        int slot = a.Counters[StepControl.LogSlot], entry = slot * StepControl.LogWidth;
        a.Log[entry + StepControl.LossSum] = loss;
        a.Log[entry + StepControl.WeightSum] = weight;
        a.Log[entry + StepControl.MetricSum] = metric;
        a.Counters[StepControl.LogSlot] = slot + 1 < StepControl.LogCapacity ? slot + 1 : 0;
        if (a.Training == 0) return;
        a.Scales[StepControl.LossSeed] = weight > 0f ? a.Scales[StepControl.Scale] / (weight * a.MicroSteps) : 0f;
    }
}
