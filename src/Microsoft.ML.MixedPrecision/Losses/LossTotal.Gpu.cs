using ILGPU;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class LossTotal
{
    // FP32 in a tree: a sum errs by at most batch / 64 + 6 roundings, which is 4e-6 of it for 4,096 rows. The CPU sums in FP64.
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.Reduce<Total, Sums, Arguments>(1, new Arguments(
        gpu.View<float>(rows.Losses), gpu.View<float>(rows.Weights), gpu.View<float>(rows.Metrics),
        gpu.View<float>(control.Scales), gpu.View<float>(control.Log), gpu.View<int>(control.Counters),
        (int)rows.Losses.Length, microSteps, training ? 1 : 0));

    internal readonly record struct Arguments(
        ArrayView<float> Losses, ArrayView<float> Weights, ArrayView<float> Metrics,
        ArrayView<float> Scales, ArrayView<float> Log, ArrayView<int> Counters, int Batch, int MicroSteps, int Training);

    internal readonly record struct Sums(float Loss, float Weight, float Metric);

    internal readonly struct Total : IGpuReduction<Sums, Arguments>
    {
        public static Sums Nothing => new(0f, 0f, 0f);
        public static int Items(Arguments a, int segment) => a.Batch;
        public static Sums Load(Arguments a, int segment, int row) => new(a.Losses[row], a.Weights[row], a.Metrics[row]);
        public static Sums Combine(Sums x, Sums y) => new(x.Loss + y.Loss, x.Weight + y.Weight, x.Metric + y.Metric);

        public static void Store(Arguments a, int segment, Sums total)
        {
            int slot = a.Counters[StepControl.LogSlot], entry = slot * StepControl.LogWidth;
            a.Log[entry + StepControl.LossSum] = total.Loss;
            a.Log[entry + StepControl.WeightSum] = total.Weight;
            a.Log[entry + StepControl.MetricSum] = total.Metric;
            a.Log[entry + StepControl.LogKind] = a.Training != 0 ? StepControl.TrainedPass : StepControl.EvaluatedPass;
            a.Counters[StepControl.LogSlot] = StepControl.After(slot);
            if (a.Training == 0) return;
            a.Scales[StepControl.LossSeed] = total.Weight > 0f ? a.Scales[StepControl.Scale] / (total.Weight * a.MicroSteps) : 0f;
        }
    }
}
