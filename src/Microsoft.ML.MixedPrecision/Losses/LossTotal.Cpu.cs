namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class LossTotal
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        float* losses = cpu.Pointer<float>(rows.Losses), weights = cpu.Pointer<float>(rows.Weights), metrics = cpu.Pointer<float>(rows.Metrics);
        float* scales = cpu.Pointer<float>(control.Scales), log = cpu.Pointer<float>(control.Log);
        int* counters = cpu.Pointer<int>(control.Counters);
        int batch = (int)rows.Losses.Length;
        return () =>
        {
            double loss = 0, weight = 0, metric = 0;
            for (int i = 0; i < batch; i++)
            {
                loss += losses[i];
                weight += weights[i];
                metric += metrics[i];
            }
            int slot = counters[StepControl.LogSlot];
            float* entry = log + (long)slot * StepControl.LogWidth;
            entry[StepControl.LossSum] = (float)loss;
            entry[StepControl.WeightSum] = (float)weight;
            entry[StepControl.MetricSum] = (float)metric;
            entry[StepControl.LogKind] = training ? StepControl.TrainedPass : StepControl.EvaluatedPass;
            counters[StepControl.LogSlot] = StepControl.After(slot);
            if (!training) return;
            scales[StepControl.LossSeed] = weight > 0 ? scales[StepControl.Scale] / ((float)weight * microSteps) : 0f;
        };
    }
}
