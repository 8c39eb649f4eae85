using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

// Statistics and gradients have two stages: sums over the rows of each part, for all channels; then each channel joins its parts.

internal sealed partial class BatchNormStatistics
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        int channels = x.Dimensions[^1];
        var (rows, run) = gpu.SumParts<PartMoments<T, TStorage>, PartArguments<T>>(this, ArgumentsOf<T>(gpu));
        var join = gpu.ReduceParts<Join, Moments, JoinArguments>(channels, rows.Count, new(
            gpu.Vectors<float>(parts), gpu.View<int>(counters), gpu.View<float>(mean), gpu.View<float>(inverse), gpu.View<float>(runningMean), gpu.View<float>(runningVariance),
            channels, ChannelParts.RowsOfExample(x), rows.RowsPerPart, eps, momentum));
        return () =>
        {
            run();
            join();
        };
    }

    public override Action Give<T, TStorage>(IlgpuBackend gpu, IGpuSumsUser user) => user.With<PartMoments<T, TStorage>, PartArguments<T>>(ArgumentsOf<T>(gpu));

    private PartArguments<T> ArgumentsOf<T>(IlgpuBackend gpu) where T : unmanaged =>
        new(gpu.Vectors<T>(x), gpu.Vectors<float>(parts), gpu.View<int>(counters), x.Dimensions[^1], ChannelParts.RowsOfExample(x));

    internal readonly record struct PartArguments<T>(ArrayView<T> X, ArrayView<float> Parts, ArrayView<int> Counters, int Channels, int PerExample) where T : unmanaged;

    internal readonly record struct JoinArguments(
        ArrayView<float> Parts, ArrayView<int> Counters, ArrayView<float> Mean, ArrayView<float> Inverse,
        ArrayView<float> RunningMean, ArrayView<float> RunningVariance, int Channels, int PerExample, int RowsPerPart, float Eps, float Momentum);

    /// <summary>Mean and sum of squared deviations of a part, from one reading: sums of x - x0 and its square, with x0 the part's first row.</summary>
    internal readonly struct PartMoments<T, TStorage> : IGpuStoredSums<PartArguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static bool ReadsOne => true;
        public static int Rows(PartArguments<T> a) => a.Counters[StepControl.Rows] * a.PerExample;

        public static TVector Origin<TVector>(PartArguments<T> a, int firstRow, int column) where TVector : unmanaged, IGpuVector<TVector> =>
            TVector.Load<T, TStorage>(a.X, firstRow * a.Channels + column);

        public static TVector Origin<TVector>(TVector firstRow) where TVector : unmanaged, IGpuVector<TVector> => firstRow;

        public static TwoSums<TVector> Load<TVector>(PartArguments<T> a, int row, int column, TVector origin) where TVector : unmanaged, IGpuVector<TVector> =>
            Of(TVector.Load<T, TStorage>(a.X, row * a.Channels + column), origin);

        public static TwoSums<TVector> Of<TVector>(TVector row, TVector origin) where TVector : unmanaged, IGpuVector<TVector>
        {
            var d = row - origin;
            return new(d, d * d);
        }

        public static void Store<TVector>(PartArguments<T> a, int part, int column, int rows, TVector origin, TwoSums<TVector> total) where TVector : unmanaged, IGpuVector<TVector>
        {
            var average = total.First * (1f / rows);
            TVector.Store<float, SingleStorage>(a.Parts, part * 2 * a.Channels + column, origin + average);
            TVector.Store<float, SingleStorage>(a.Parts, (part * 2 + 1) * a.Channels + column, TVector.Map(new AtLeastZero(), total.Second, total.First * average));
        }
    }

    /// <summary>x - y, which is no less than 0 but for rounding; NaN stays.</summary>
    internal readonly struct AtLeastZero : IGpuFunction
    {
        public float Apply(float x, float y) => x < y ? 0f : x - y;
    }

    /// <summary>Of d, a part's mean less that of the first part: n d, and the sum of squared deviations with n d^2.</summary>
    internal readonly record struct Moments(float Sum, float Squares);

    /// <summary>
    /// All about the mean of the first part, so that parts only add up: Chan's formula divides for each pair, and one waits for the other. What cancels at the end is at most
    /// N (mean - first mean)^2 in the sum of squares, and the first part alone gives n (mean - first mean)^2 of that sum: with 1,024 parts as long as the first 10 bits of 24, at worst.
    /// </summary>
    internal readonly struct Join : IGpuReduction<Moments, JoinArguments>
    {
        public static Moments Nothing => new(0f, 0f);

        public static int Items(JoinArguments a, int c) => (a.Counters[StepControl.Rows] * a.PerExample + a.RowsPerPart - 1) / a.RowsPerPart;

        public static Moments Load(JoinArguments a, int c, int part)
        {
            int rows = Math.Min(a.Counters[StepControl.Rows] * a.PerExample - part * a.RowsPerPart, a.RowsPerPart);
            float d = a.Parts[part * 2 * a.Channels + c] - a.Parts[c], sum = d * rows;
            return new(sum, a.Parts[(part * 2 + 1) * a.Channels + c] + sum * d);
        }

        public static Moments Combine(Moments x, Moments y) => new(x.Sum + y.Sum, x.Squares + y.Squares);

        public static void Store(JoinArguments a, int c, Moments total)
        {
            float rows = a.Counters[StepControl.Rows] * a.PerExample, share = total.Sum / rows, mean = a.Parts[c] + share;
            float squares = new AtLeastZero().Apply(total.Squares, total.Sum * share), variance = squares / rows;
            a.Mean[c] = mean;
            a.Inverse[c] = 1f / XMath.Sqrt(variance + a.Eps);
            if (!(mean - mean == 0f && variance - variance == 0f)) return; // not finite
            a.RunningMean[c] += a.Momentum * (mean - a.RunningMean[c]);
            a.RunningVariance[c] += a.Momentum * (squares / (rows > 2f ? rows - 1f : 1f) - a.RunningVariance[c]);
        }
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

    private Action Bind<T, TStorage, TElement>(IlgpuBackend gpu, TElement element) where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement
    {
        int channels = x.Dimensions[^1];
        bool eights = (channels & 7) == 0;
        var walk = RowWalk.Of(ChannelParts.Rows(x), channels, eights ? Vector8.Width : Vector1.Width);
        var a = new Arguments<T, TElement>(
            gpu.Vectors<T>(x), gpu.Vectors<float>(mean), gpu.Vectors<float>(inverse), gpu.Vectors<T>(weight), gpu.Vectors<T>(bias), gpu.Vectors<T>(y),
            gpu.View<int>(counters), walk, ChannelParts.RowsOfExample(x), element);
        return eights ? gpu.For(walk.Threads, Run<T, TStorage, Vector8, TElement>, a) : gpu.For(walk.Threads, Run<T, TStorage, Vector1, TElement>, a);
    }

    internal readonly struct Arguments<T, TElement>(
        ArrayView<T> x, ArrayView<float> mean, ArrayView<float> inverse, ArrayView<T> weight, ArrayView<T> bias,
        ArrayView<T> y, ArrayView<int> counters, RowWalk walk, int perExample, TElement element) where T : unmanaged where TElement : struct, IGpuElement
    {
        public readonly ArrayView<T> X = x;
        public readonly ArrayView<float> Mean = mean, Inverse = inverse;
        public readonly ArrayView<T> Weight = weight, Bias = bias, Y = y;
        public readonly ArrayView<int> Counters = counters;
        public readonly RowWalk Walk = walk;
        public readonly int PerExample = perExample;
        public readonly TElement Element = element;
    }

    private static void Run<T, TStorage, TVector, TElement>(Index1D thread, Arguments<T, TElement> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> where TElement : struct, IGpuElement
    {
        var (row, c) = RowWalk.Of<TVector>(a.Walk, thread);
        var x = RowWalk.Load<T, TStorage, TVector>(a.X, a.Walk, row, c); // before the rows that count are known: a load more to wait for
        int valid = a.Counters[StepControl.Rows] * a.PerExample;
        var (mean, bias) = (TVector.Load<float, SingleStorage>(a.Mean, c), TVector.Load<T, TStorage>(a.Bias, c));
        var scale = TVector.Load<float, SingleStorage>(a.Inverse, c) * TVector.Load<T, TStorage>(a.Weight, c);
        Store<T, TStorage, TVector, TElement>(a, row, c, valid, (x.V0 - mean) * scale + bias);
        Store<T, TStorage, TVector, TElement>(a, row + a.Walk.Apart, c, valid, (x.V1 - mean) * scale + bias);
        Store<T, TStorage, TVector, TElement>(a, row + a.Walk.Apart * 2, c, valid, (x.V2 - mean) * scale + bias);
        Store<T, TStorage, TVector, TElement>(a, row + a.Walk.Apart * 3, c, valid, (x.V3 - mean) * scale + bias);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<T, TStorage, TVector, TElement>(Arguments<T, TElement> a, int row, int c, int valid, TVector y)
        where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> where TElement : struct, IGpuElement
    {
        int place = row * a.Walk.Columns + c;
        if (row < valid) TVector.Store<T, TStorage>(a.Y, place, a.Element.Apply(y, place));
        else if (row < a.Walk.Rows) TVector.Store<T, TStorage>(a.Y, place, TVector.All(0f));
    }
}

internal sealed partial class BatchNormSums
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        int channels = x.Dimensions[^1];
        var rows = RowParts.Of(ChannelParts.Rows(x), channels);
        var a = new Arguments<T>(
            gpu.Vectors<T>(x), gpu.Vectors<T>(dy), gpu.Vectors<float>(mean), gpu.Vectors<float>(inverse), gpu.Vectors<float>(parts), gpu.View<float>(sums),
            gpu.View<T>(weightGradient), gpu.View<T>(biasGradient), gpu.View<int>(counters), channels, ChannelParts.RowsOfExample(x), rows.RowsPerPart);
        var run = gpu.SumColumns<Parts<T, TStorage>, Arguments<T>>(rows, channels, a);
        var join = gpu.ReduceParts<Join<T, TStorage>, Sums, Arguments<T>>(channels, rows.Count, a);
        return () =>
        {
            run();
            join();
        };
    }

    internal readonly record struct Arguments<T>(
        ArrayView<T> X, ArrayView<T> OutputGradient, ArrayView<float> Mean, ArrayView<float> Inverse, ArrayView<float> Parts, ArrayView<float> Sums,
        ArrayView<T> WeightGradient, ArrayView<T> BiasGradient, ArrayView<int> Counters, int Channels, int PerExample, int RowsPerPart) where T : unmanaged;

    /// <summary>Of dy, and of dy xhat.</summary>
    internal readonly record struct Sums(float Gradient, float Product);

    internal readonly struct Parts<T, TStorage> : IGpuColumnSums<Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static bool ReadsOne => false;
        public static int Rows(Arguments<T> a) => a.Counters[StepControl.Rows] * a.PerExample;

        public static TVector Origin<TVector>(Arguments<T> a, int firstRow, int column) where TVector : unmanaged, IGpuVector<TVector> =>
            TVector.Load<float, SingleStorage>(a.Mean, column);

        public static TwoSums<TVector> Load<TVector>(Arguments<T> a, int row, int column, TVector origin) where TVector : unmanaged, IGpuVector<TVector>
        {
            int place = row * a.Channels + column;
            var d = TVector.Load<T, TStorage>(a.OutputGradient, place);
            return new(d, d * (TVector.Load<T, TStorage>(a.X, place) - origin));
        }

        public static void Store<TVector>(Arguments<T> a, int part, int column, int rows, TVector origin, TwoSums<TVector> total) where TVector : unmanaged, IGpuVector<TVector>
        {
            TVector.Store<float, SingleStorage>(a.Parts, part * 2 * a.Channels + column, total.First);
            TVector.Store<float, SingleStorage>(a.Parts, (part * 2 + 1) * a.Channels + column, total.Second * TVector.Load<float, SingleStorage>(a.Inverse, column));
        }
    }

    internal readonly struct Join<T, TStorage> : IGpuReduction<Sums, Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static Sums Nothing => new(0f, 0f);
        public static int Items(Arguments<T> a, int c) => (a.Counters[StepControl.Rows] * a.PerExample + a.RowsPerPart - 1) / a.RowsPerPart;
        public static Sums Load(Arguments<T> a, int c, int part) => new(a.Parts[part * 2 * a.Channels + c], a.Parts[(part * 2 + 1) * a.Channels + c]);
        public static Sums Combine(Sums x, Sums y) => new(x.Gradient + y.Gradient, x.Product + y.Product);

        public static void Store(Arguments<T> a, int c, Sums total)
        {
            a.Sums[c] = total.Gradient;
            a.Sums[a.Channels + c] = total.Product;
            a.BiasGradient[c] = TStorage.Store(total.Gradient);
            a.WeightGradient[c] = TStorage.Store(total.Product);
        }
    }
}

internal sealed partial class BatchNormBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        int channels = x.Dimensions[^1];
        bool eights = (channels & 7) == 0;
        var walk = RowWalk.Of(ChannelParts.Rows(x), channels, eights ? Vector8.Width : Vector1.Width);
        var a = new Arguments<T>(
            gpu.Vectors<T>(x), gpu.Vectors<T>(dy), gpu.Vectors<float>(mean), gpu.Vectors<float>(inverse), gpu.Vectors<float>(sums), gpu.Vectors<T>(weight),
            gpu.Vectors<T>(dx), gpu.View<int>(counters), walk, ChannelParts.RowsOfExample(x));
        return eights ? gpu.For(walk.Threads, Run<T, TStorage, Vector8>, a) : gpu.For(walk.Threads, Run<T, TStorage, Vector1>, a);
    }

    internal readonly struct Arguments<T>(
        ArrayView<T> x, ArrayView<T> outputGradient, ArrayView<float> mean, ArrayView<float> inverse, ArrayView<float> sums,
        ArrayView<T> weight, ArrayView<T> inputGradient, ArrayView<int> counters, RowWalk walk, int perExample) where T : unmanaged
    {
        public readonly ArrayView<T> X = x, OutputGradient = outputGradient;
        public readonly ArrayView<float> Mean = mean, Inverse = inverse, Sums = sums;
        public readonly ArrayView<T> Weight = weight, InputGradient = inputGradient;
        public readonly ArrayView<int> Counters = counters;
        public readonly RowWalk Walk = walk;
        public readonly int PerExample = perExample;
    }

    private static void Run<T, TStorage, TVector>(Index1D thread, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var (row, c) = RowWalk.Of<TVector>(a.Walk, thread);
        RowHead<TVector> x = RowWalk.Load<T, TStorage, TVector>(a.X, a.Walk, row, c), dy = RowWalk.Load<T, TStorage, TVector>(a.OutputGradient, a.Walk, row, c);
        int valid = a.Counters[StepControl.Rows] * a.PerExample;
        var (mean, inverse) = (TVector.Load<float, SingleStorage>(a.Mean, c), TVector.Load<float, SingleStorage>(a.Inverse, c));
        var (gradients, products) = (TVector.Load<float, SingleStorage>(a.Sums, c), TVector.Load<float, SingleStorage>(a.Sums, a.Walk.Columns + c));
        var scale = inverse * TVector.Load<T, TStorage>(a.Weight, c);
        float share = 1f / valid; // infinite where there are no rows, and then not used; a branch, which no load crosses
        var offset = gradients * share;
        var slope = products * share * inverse;
        Store<T, TStorage, TVector>(a, row, c, valid, (dy.V0 - offset - (x.V0 - mean) * slope) * scale);
        Store<T, TStorage, TVector>(a, row + a.Walk.Apart, c, valid, (dy.V1 - offset - (x.V1 - mean) * slope) * scale);
        Store<T, TStorage, TVector>(a, row + a.Walk.Apart * 2, c, valid, (dy.V2 - offset - (x.V2 - mean) * slope) * scale);
        Store<T, TStorage, TVector>(a, row + a.Walk.Apart * 3, c, valid, (dy.V3 - offset - (x.V3 - mean) * slope) * scale);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<T, TStorage, TVector>(Arguments<T> a, int row, int c, int valid, TVector dx) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        if (row < valid) TVector.Store<T, TStorage>(a.InputGradient, row * a.Walk.Columns + c, dx);
        else if (row < a.Walk.Rows) TVector.Store<T, TStorage>(a.InputGradient, row * a.Walk.Columns + c, TVector.All(0f));
    }
}
