using System.Runtime.CompilerServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>A loss of one output x and one value y of the label, with a parameter p. The same code for the CPU and a GPU.</summary>
internal interface IElementLoss
{
    static abstract float Loss(float x, float y, float p);

    /// <summary>dLoss/dx.</summary>
    static abstract float Gradient(float x, float y, float p);

    /// <summary>1 for the right answer, or the absolute error.</summary>
    static abstract float Metric(float x, float y);
}

/// <summary>
/// x[n, o], y[n, o] -> loss[n] = w[n] mean over o of f(x, y), FP32, summed in the order of o; the metric alike. A row that weighs 0
/// gives 0, whatever it scores: 0 times NaN is NaN.
/// </summary>
internal sealed unsafe partial class ElementLossRows<TLoss>(string kind, Tensor x, LossTargets targets, LossRows rows, StepControl control, float parameter) : Kernel
    where TLoss : struct, IElementLoss
{
    public override string Name { get; } = kind + ".Rows";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, targets.Labels, targets.Weights, control.Counters];
    public override IReadOnlyList<Tensor> Writes { get; } = [rows.Losses, rows.Weights, rows.Metrics];

    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* scores = cpu.Pointer<T>(x);
        float* labels = cpu.Pointer<float>(targets.Labels), weights = cpu.Pointer<float>(targets.Weights);
        int* counters = cpu.Pointer<int>(control.Counters);
        float* losses = cpu.Pointer<float>(rows.Losses), rowWeights = cpu.Pointer<float>(rows.Weights), metrics = cpu.Pointer<float>(rows.Metrics);
        int outputs = x.Dimensions[^1];
        float p = parameter;
        return cpu.For(x.Dimensions[0], grain: Math.Max(1, 1024 / outputs), Run);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Run(long first, long end)
        {
            for (long n = first; n < end; n++)
            {
                float weight = weights[n];
                if (n >= counters[StepControl.Rows] || weight == 0f)
                {
                    losses[n] = rowWeights[n] = metrics[n] = 0f;
                    continue;
                }
                float loss = 0f, metric = 0f;
                for (long i = n * outputs; i < (n + 1) * outputs; i++)
                {
                    float value = TStorage.Load(scores[i]);
                    loss += TLoss.Loss(value, labels[i], p);
                    metric += TLoss.Metric(value, labels[i]);
                }
                rowWeights[n] = weight;
                losses[n] = weight * (loss / outputs);
                metrics[n] = weight * (metric / outputs);
            }
        }
    }
}

/// <summary>dx[n, o] = f'(x, y) w[n] seed / outputs; rows that weigh 0, as padding does, get 0.</summary>
internal sealed unsafe partial class ElementLossGradient<TLoss>(string kind, Tensor x, LossTargets targets, LossRows rows, Tensor dx, StepControl control, float parameter) : Kernel
    where TLoss : struct, IElementLoss
{
    public override string Name { get; } = kind + ".Gradient";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, targets.Labels, rows.Weights, control.Scales];
    public override IReadOnlyList<Tensor> Writes { get; } = [dx];

    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* scores = cpu.Pointer<T>(x), to = cpu.Pointer<T>(dx);
        float* labels = cpu.Pointer<float>(targets.Labels), weights = cpu.Pointer<float>(rows.Weights), scales = cpu.Pointer<float>(control.Scales);
        int outputs = x.Dimensions[^1];
        float p = parameter;
        return cpu.For(x.Dimensions[0], grain: Math.Max(1, 1024 / outputs), Run);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Run(long first, long end)
        {
            float seed = scales[StepControl.LossSeed];
            for (long n = first; n < end; n++)
            {
                float weight = weights[n], factor = weight * seed / outputs;
                for (long i = n * outputs; i < (n + 1) * outputs; i++)
                    to[i] = TStorage.Store(weight == 0f ? 0f : TLoss.Gradient(TStorage.Load(scores[i]), labels[i], p) * factor);
            }
        }
    }
}
