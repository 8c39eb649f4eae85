using ILGPU;
using ILGPU.Algorithms;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class SoftmaxCrossEntropyRows
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(x.Dimensions[0], Run<T, TStorage>, new Arguments<T>(
        gpu.View<T>(x), gpu.View<int>(targets.Labels), gpu.View<float>(targets.Weights), gpu.View<int>(control.Counters),
        gpu.View<float>(rows.Losses), gpu.View<float>(rows.Weights), gpu.View<float>(rows.Metrics), x.Dimensions[^1], smoothing));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<int> Labels, ArrayView<float> Weights, ArrayView<int> Counters,
        ArrayView<float> Losses, ArrayView<float> RowWeights, ArrayView<float> Metrics, int Classes, float Smoothing) where T : unmanaged;

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
        int row = n * a.Classes;
        int best = 0, label = a.Labels[n];
        float max = TStorage.Load(a.X[row]), total = max;
        for (int c = 1; c < a.Classes; c++)
        {
            float score = TStorage.Load(a.X[row + c]);
            total += score;
            if (!(score <= max))
            {
                best = c;
                max = score;
            }
        }
        float sum = 0f;
        for (int c = 0; c < a.Classes; c++) sum += XMath.Exp(TStorage.Load(a.X[row + c]) - max);
        float target = float.NaN; // where there is no such class: shows in the loss, and reads no other memory
        if (label >= 0 && label < a.Classes) target = (1f - a.Smoothing) * TStorage.Load(a.X[row + label]);
        if (a.Smoothing > 0f) target += a.Smoothing / a.Classes * total; // 0 * -infinity would be NaN
        a.RowWeights[n] = weight;
        a.Losses[n] = weight * (max + XMath.Log(sum) - target);
        a.Metrics[n] = best == label ? weight : 0f;
    }
}

internal sealed partial class SoftmaxCrossEntropyGradient
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(x.Dimensions[0], Run<T, TStorage>, new Arguments<T>(
        gpu.View<T>(x), gpu.View<T>(dx), gpu.View<int>(targets.Labels), gpu.View<float>(rows.Weights), gpu.View<float>(control.Scales),
        x.Dimensions[^1], smoothing));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> Gradient, ArrayView<int> Labels, ArrayView<float> Weights, ArrayView<float> Scales,
        int Classes, float Smoothing) where T : unmanaged;

    private static void Run<T, TStorage>(Index1D n, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int row = n * a.Classes;
        float weight = a.Weights[n], factor = weight * a.Scales[StepControl.LossSeed], even = a.Smoothing / a.Classes;
        if (weight == 0f)
        {
            for (int c = 0; c < a.Classes; c++) a.Gradient[row + c] = TStorage.Store(0f);
            return;
        }
        float max = TStorage.Load(a.X[row]), sum = 0f;
        for (int c = 1; c < a.Classes; c++)
        {
            float score = TStorage.Load(a.X[row + c]);
            max = score <= max ? max : score;
        }
        for (int c = 0; c < a.Classes; c++) sum += XMath.Exp(TStorage.Load(a.X[row + c]) - max);
        int label = a.Labels[n];
        if (label < 0 || label >= a.Classes) factor = float.NaN; // no such class: the step is skipped
        for (int c = 0; c < a.Classes; c++)
        {
            float q = even + (c == label ? 1f - a.Smoothing : 0f);
            a.Gradient[row + c] = TStorage.Store((XMath.Exp(TStorage.Load(a.X[row + c]) - max) / sum - q) * factor);
        }
    }
}
