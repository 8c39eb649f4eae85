using ILGPU;
using ILGPU.Algorithms;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

// One thread for each part and channel, neighbours on neighbouring channels; then one for each channel joins the parts.

internal sealed partial class BatchNormStatistics
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        int channels = x.Dimensions[^1], perExample = ChannelParts.RowsOfExample(x);
        var (partial, count) = (gpu.View<float>(parts), gpu.View<int>(counters));
        var run = gpu.For((long)ChannelParts.Count(x) * channels, Part<T, TStorage>, new PartArguments<T>(gpu.View<T>(x), partial, count, channels, perExample));
        var join = gpu.For(channels, Join, new JoinArguments(partial, count, gpu.View<float>(mean), gpu.View<float>(inverse),
            gpu.View<float>(runningMean), gpu.View<float>(runningVariance), channels, perExample, eps, momentum));
        return () =>
        {
            run();
            join();
        };
    }

    internal readonly record struct PartArguments<T>(ArrayView<T> X, ArrayView<float> Parts, ArrayView<int> Counters, int Channels, int PerExample) where T : unmanaged;

    internal readonly record struct JoinArguments(
        ArrayView<float> Parts, ArrayView<int> Counters, ArrayView<float> Mean, ArrayView<float> Inverse,
        ArrayView<float> RunningMean, ArrayView<float> RunningVariance, int Channels, int PerExample, float Eps, float Momentum);

    private static void Part<T, TStorage>(Index1D i, PartArguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int part = i / a.Channels, c = i - part * a.Channels;
        int start = part * ChannelParts.RowsPerPart, rows = Math.Min(a.Counters[StepControl.Rows] * a.PerExample - start, ChannelParts.RowsPerPart);
        if (rows <= 0) return;
        float sum = 0f, squares = 0f;
        for (int r = 0; r < rows; r++) sum += TStorage.Load(a.X[(start + r) * a.Channels + c]);
        float average = sum / rows;
        for (int r = 0; r < rows; r++)
        {
            float deviation = TStorage.Load(a.X[(start + r) * a.Channels + c]) - average;
            squares += deviation * deviation;
        }
        a.Parts[part * 2 * a.Channels + c] = average;
        a.Parts[(part * 2 + 1) * a.Channels + c] = squares;
    }

    private static void Join(Index1D c, JoinArguments a)
    {
        int valid = a.Counters[StepControl.Rows] * a.PerExample;
        float average = a.Parts[c], squares = a.Parts[a.Channels + c], n = Math.Min(valid, ChannelParts.RowsPerPart);
        for (int part = 1; part * ChannelParts.RowsPerPart < valid; part++)
        {
            float more = Math.Min(valid - part * ChannelParts.RowsPerPart, ChannelParts.RowsPerPart), total = n + more;
            float delta = a.Parts[part * 2 * a.Channels + c] - average;
            average += delta * (more / total);
            squares += a.Parts[(part * 2 + 1) * a.Channels + c] + delta * delta * (n * more / total);
            n = total;
        }
        float variance = squares / n;
        a.Mean[c] = average;
        a.Inverse[c] = 1f / XMath.Sqrt(variance + a.Eps);
        if (!(average - average == 0f && variance - variance == 0f)) return; // not finite
        a.RunningMean[c] += a.Momentum * (average - a.RunningMean[c]);
        a.RunningVariance[c] += a.Momentum * (squares / (n > 2f ? n - 1f : 1f) - a.RunningVariance[c]);
    }
}

internal sealed partial class BatchNormRunning
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(mean.Length, Run, new Arguments(
        gpu.View<float>(runningMean), gpu.View<float>(runningVariance), gpu.View<float>(mean), gpu.View<float>(inverse), eps));

    internal readonly record struct Arguments(ArrayView<float> RunningMean, ArrayView<float> RunningVariance, ArrayView<float> Mean, ArrayView<float> Inverse, float Eps);

    private static void Run(Index1D c, Arguments a)
    {
        a.Mean[c] = a.RunningMean[c];
        a.Inverse[c] = 1f / XMath.Sqrt(a.RunningVariance[c] + a.Eps);
    }
}

internal sealed partial class BatchNormForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var user = new GpuUser<T, TStorage>(gpu, this);
        return _next is null ? user.With(new Unchanged()) : _next.Give<T, TStorage>(gpu, user);
    }

    private sealed class GpuUser<T, TStorage>(IlgpuBackend gpu, BatchNormForward kernel) : IGpuElementUser where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TElement>(TElement element) where TElement : struct, IGpuElement => kernel.Bind<T, TStorage, TElement>(gpu, element);
    }

    private Action Bind<T, TStorage, TElement>(IlgpuBackend gpu, TElement element) where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement =>
        gpu.For(y.Length, Run<T, TStorage, TElement>, new Arguments<T, TElement>(
            gpu.View<T>(x), gpu.View<float>(mean), gpu.View<float>(inverse), gpu.View<T>(weight), gpu.View<T>(bias), gpu.View<T>(y),
            gpu.View<int>(counters), x.Dimensions[^1], ChannelParts.RowsOfExample(x), element));

    internal readonly record struct Arguments<T, TElement>(
        ArrayView<T> X, ArrayView<float> Mean, ArrayView<float> Inverse, ArrayView<T> Weight, ArrayView<T> Bias, ArrayView<T> Y,
        ArrayView<int> Counters, int Channels, int PerExample, TElement Element) where T : unmanaged where TElement : struct, IGpuElement;

    private static void Run<T, TStorage, TElement>(Index1D i, Arguments<T, TElement> a) where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement
    {
        int row = i / a.Channels, c = i - row * a.Channels;
        float value = (TStorage.Load(a.X[i]) - a.Mean[c]) * (a.Inverse[c] * TStorage.Load(a.Weight[c])) + TStorage.Load(a.Bias[c]);
        a.Y[i] = TStorage.Store(row < a.Counters[StepControl.Rows] * a.PerExample ? a.Element.Apply(value, i) : 0f);
    }
}

internal sealed partial class BatchNormSums
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        int channels = x.Dimensions[^1], perExample = ChannelParts.RowsOfExample(x);
        var (partial, count) = (gpu.View<float>(parts), gpu.View<int>(counters));
        var run = gpu.For((long)ChannelParts.Count(x) * channels, Part<T, TStorage>, new PartArguments<T>(
            gpu.View<T>(x), gpu.View<T>(dy), gpu.View<float>(mean), gpu.View<float>(inverse), partial, count, channels, perExample));
        var join = gpu.For(channels, Join<T, TStorage>, new JoinArguments<T>(
            partial, count, gpu.View<float>(sums), gpu.View<T>(weightGradient), gpu.View<T>(biasGradient), channels, perExample));
        return () =>
        {
            run();
            join();
        };
    }

    internal readonly record struct PartArguments<T>(
        ArrayView<T> X, ArrayView<T> OutputGradient, ArrayView<float> Mean, ArrayView<float> Inverse,
        ArrayView<float> Parts, ArrayView<int> Counters, int Channels, int PerExample) where T : unmanaged;

    internal readonly record struct JoinArguments<T>(
        ArrayView<float> Parts, ArrayView<int> Counters, ArrayView<float> Sums, ArrayView<T> WeightGradient, ArrayView<T> BiasGradient, int Channels, int PerExample) where T : unmanaged;

    private static void Part<T, TStorage>(Index1D i, PartArguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int part = i / a.Channels, c = i - part * a.Channels;
        int start = part * ChannelParts.RowsPerPart, rows = Math.Min(a.Counters[StepControl.Rows] * a.PerExample - start, ChannelParts.RowsPerPart);
        if (rows <= 0) return;
        float sum = 0f, product = 0f, average = a.Mean[c];
        for (int r = 0; r < rows; r++)
        {
            int at = (start + r) * a.Channels + c;
            float d = TStorage.Load(a.OutputGradient[at]);
            sum += d;
            product += d * (TStorage.Load(a.X[at]) - average);
        }
        a.Parts[part * 2 * a.Channels + c] = sum;
        a.Parts[(part * 2 + 1) * a.Channels + c] = product * a.Inverse[c];
    }

    private static void Join<T, TStorage>(Index1D c, JoinArguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int valid = a.Counters[StepControl.Rows] * a.PerExample;
        float sum = 0f, product = 0f;
        for (int part = 0; part * ChannelParts.RowsPerPart < valid; part++)
        {
            sum += a.Parts[part * 2 * a.Channels + c];
            product += a.Parts[(part * 2 + 1) * a.Channels + c];
        }
        a.Sums[c] = sum;
        a.Sums[a.Channels + c] = product;
        a.BiasGradient[c] = TStorage.Store(sum);
        a.WeightGradient[c] = TStorage.Store(product);
    }
}

internal sealed partial class BatchNormBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(dx.Length, Run<T, TStorage>, new Arguments<T>(
        gpu.View<T>(x), gpu.View<T>(dy), gpu.View<float>(mean), gpu.View<float>(inverse), gpu.View<float>(sums), gpu.View<T>(weight), gpu.View<T>(dx),
        gpu.View<int>(counters), x.Dimensions[^1], ChannelParts.RowsOfExample(x)));

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> OutputGradient, ArrayView<float> Mean, ArrayView<float> Inverse, ArrayView<float> Sums, ArrayView<T> Weight,
        ArrayView<T> InputGradient, ArrayView<int> Counters, int Channels, int PerExample) where T : unmanaged;

    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int row = i / a.Channels, c = i - row * a.Channels, valid = a.Counters[StepControl.Rows] * a.PerExample;
        if (row >= valid)
        {
            a.InputGradient[i] = TStorage.Store(0f);
            return;
        }
        float inverse = a.Inverse[c], offset = a.Sums[c] / valid, slope = a.Sums[a.Channels + c] / valid * inverse;
        float value = TStorage.Load(a.OutputGradient[i]) - offset - (TStorage.Load(a.X[i]) - a.Mean[c]) * slope;
        a.InputGradient[i] = TStorage.Store(value * (inverse * TStorage.Load(a.Weight[c])));
    }
}
