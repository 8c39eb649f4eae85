namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class SoftmaxCrossEntropyRows
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* scores = cpu.Pointer<T>(x);
        int* labels = cpu.Pointer<int>(targets.Labels), counters = cpu.Pointer<int>(control.Counters);
        float* weights = cpu.Pointer<float>(targets.Weights);
        float* losses = cpu.Pointer<float>(rows.Losses), rowWeights = cpu.Pointer<float>(rows.Weights), metrics = cpu.Pointer<float>(rows.Metrics);
        int classes = x.Dimensions[^1];
        return cpu.For(x.Dimensions[0], grain: Math.Max(1, 1024 / classes), (first, end) =>
        {
            for (long n = first; n < end; n++)
            {
                if (n >= counters[StepControl.Rows])
                {
                    losses[n] = rowWeights[n] = metrics[n] = 0f;
                    continue;
                }
                T* row = scores + n * classes;
                int best = 0, label = labels[n];
                float max = TStorage.Load(row[0]), total = max;
                for (int c = 1; c < classes; c++)
                {
                    float score = TStorage.Load(row[c]);
                    total += score;
                    if (!(score <= max)) (best, max) = (c, score); // NaN wins, and shows in the loss
                }
                float sum = 0;
                for (int c = 0; c < classes; c++) sum += MathF.Exp(TStorage.Load(row[c]) - max);
                float target = float.NaN; // where there is no such class: shows in the loss, and reads no other memory
                if ((uint)label < (uint)classes) target = (1f - smoothing) * TStorage.Load(row[label]);
                if (smoothing > 0f) target += smoothing / classes * total; // 0 * -infinity would be NaN
                float weight = weights[n];
                rowWeights[n] = weight;
                losses[n] = weight * (max + MathF.Log(sum) - target);
                metrics[n] = best == label ? weight : 0f;
            }
        });
    }
}

internal sealed unsafe partial class SoftmaxCrossEntropyGradient
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* scores = cpu.Pointer<T>(x), to = cpu.Pointer<T>(dx);
        int* labels = cpu.Pointer<int>(targets.Labels);
        float* weights = cpu.Pointer<float>(rows.Weights), scales = cpu.Pointer<float>(control.Scales);
        int classes = x.Dimensions[^1];
        return cpu.For(x.Dimensions[0], grain: Math.Max(1, 1024 / classes), (first, end) =>
        {
            float even = smoothing / classes, seed = scales[StepControl.LossSeed];
            for (long n = first; n < end; n++)
            {
                T* row = scores + n * classes, gradient = to + n * classes;
                float factor = weights[n] * seed;
                if (factor == 0f)
                {
                    new Span<T>(gradient, classes).Clear(); // padding has no label, and what it scores may be anything
                    continue;
                }
                if ((uint)labels[n] >= (uint)classes) factor = float.NaN; // no such class: the step is skipped
                float max = TStorage.Load(row[0]), sum = 0;
                for (int c = 1; c < classes; c++) max = MathF.Max(max, TStorage.Load(row[c]));
                for (int c = 0; c < classes; c++) sum += MathF.Exp(TStorage.Load(row[c]) - max);
                for (int c = 0; c < classes; c++)
                {
                    float q = even + (c == labels[n] ? 1f - smoothing : 0f);
                    gradient[c] = TStorage.Store((MathF.Exp(TStorage.Load(row[c]) - max) / sum - q) * factor);
                }
            }
        });
    }
}
