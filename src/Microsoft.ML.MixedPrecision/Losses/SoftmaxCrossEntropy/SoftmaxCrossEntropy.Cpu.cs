using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

// Many classes: row after row, sixteen classes in a vector. A row's last vector reads beyond it: those lanes are set to -infinity,
// which is no maximum and whose exponential is 0. Few classes: sixteen rows at once, a row in each lane (ClassLanes).

internal sealed unsafe partial class SoftmaxCrossEntropyRows
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* scores = cpu.Pointer<T>(x);
        int* labels = cpu.Pointer<int>(targets.Labels), counters = cpu.Pointer<int>(control.Counters);
        float* weights = cpu.Pointer<float>(targets.Weights);
        float* losses = cpu.Pointer<float>(rows.Losses), rowWeights = cpu.Pointer<float>(rows.Weights), metrics = cpu.Pointer<float>(rows.Metrics);
        int classes = x.Dimensions[^1];
        return cpu.For(x.Dimensions[0], grain: RowsAtOnce(classes), classes <= ClassLanes.MostClasses ? Lanes : Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
        void Lanes(long first, long end)
        {
            const int width = CpuVector.Width;
            float* columns = stackalloc float[ClassLanes.Floats], largest = stackalloc float[width], sums = stackalloc float[width], totals = stackalloc float[width];
            int* answers = stackalloc int[width];
            for (long n = first; n < end; n += width)
            {
                int count = (int)Math.Min(width, end - n);
                ClassLanes.Read<T, TStorage>(scores + n * classes, count, classes, columns);
                var max = Vector512.Load(columns);
                var (total, sum, answer) = (max, Vector512<float>.Zero, Vector512<int>.Zero);
                for (int c = 1; c < classes; c++)
                {
                    var score = Vector512.Load(columns + c * width);
                    answer = Vector512.ConditionalSelect(Vector512.GreaterThan(score, max).AsInt32(), Vector512.Create(c), answer);
                    max = Vector512.Max(max, score); // NaN where one is, which shows in the loss
                    total += score;
                }
                for (int c = 0; c < classes; c++) sum += CpuVector.Exp(Vector512.Load(columns + c * width) - max);
                max.Store(largest);
                sum.Store(sums);
                total.Store(totals);
                Vector512.ConditionalSelect(Vector512.Equals(max, max).AsInt32(), answer, Vector512<int>.AllBitsSet).Store(answers);
                for (int i = 0; i < count; i++)
                {
                    int label = labels[n + i];
                    float score = (uint)label < (uint)classes ? columns[label * width + i] : float.NaN; // no such class: shows in the loss, and reads no other memory
                    Write(n + i, score, totals[i], largest[i], sums[i], answers[i] == label);
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            for (long n = first; n < end; n++)
            {
                T* row = scores + n * classes;
                int label = labels[n];
                float max = Max<T, TStorage>(row, classes), score = (uint)label < (uint)classes ? TStorage.Load(row[label]) : float.NaN;
                Write(n, score, smoothing > 0f ? Sum<T, TStorage>(row, classes) : 0f, max, ExponentialSum<T, TStorage>(row, classes, max), IndexOf<T, TStorage>(row, classes, max) == label);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        void Write(long n, float score, float total, float max, float exponentials, bool right)
        {
            float weight = weights[n];
            if (n >= counters[StepControl.Rows] || weight == 0f)
            {
                losses[n] = rowWeights[n] = metrics[n] = 0f;
                return;
            }
            float target = (1f - smoothing) * score;
            if (smoothing > 0f) target += smoothing / classes * total; // 0 * -infinity would be NaN
            rowWeights[n] = weight;
            losses[n] = weight * (max + MathF.Log(exponentials) - target);
            metrics[n] = right ? weight : 0f;
        }
    }

    /// <summary>The first class with the largest score; -1 where that is NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int IndexOf<T, TStorage>(T* row, int classes, float max) where T : unmanaged where TStorage : struct, ICpuStorage<T>
    {
        for (int c = 0; c < classes; c += CpuVector.Width)
        {
            ulong hits = Vector512.Equals(Scores<T, TStorage>(row, c, classes), Vector512.Create(max)).ExtractMostSignificantBits();
            if (hits != 0) return c + BitOperations.TrailingZeroCount(hits);
        }
        return -1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Sum<T, TStorage>(T* row, int classes) where T : unmanaged where TStorage : struct, ICpuStorage<T>
    {
        var sum = Vector512<float>.Zero;
        for (int c = 0; c < classes; c += CpuVector.Width) sum += CpuVector.Load<T, TStorage>(row + c, Math.Min(CpuVector.Width, classes - c));
        return Vector512.Sum(sum);
    }

    /// <summary>Rows that are worth a thread's hand-off.</summary>
    internal static int RowsAtOnce(int classes) => Math.Max(1, 4096 / Math.Max(CpuVector.Width, classes));

    /// <summary>Sixteen scores from class <paramref name="c"/> on; -infinity where there are no more.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<float> Scores<T, TStorage>(T* row, int c, int classes) where T : unmanaged where TStorage : struct, ICpuStorage<T> =>
        classes - c >= CpuVector.Width
            ? TStorage.Load16(row + c)
            : Vector512.ConditionalSelect(CpuVector.First(classes - c), TStorage.Load16(row + c), Vector512.Create(float.NegativeInfinity));

    /// <summary>The largest score; NaN where one is, which shows in the loss.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static float Max<T, TStorage>(T* row, int classes) where T : unmanaged where TStorage : struct, ICpuStorage<T>
    {
        var max = Scores<T, TStorage>(row, 0, classes);
        for (int c = CpuVector.Width; c < classes; c += CpuVector.Width) max = Vector512.Max(max, Scores<T, TStorage>(row, c, classes));
        return CpuVector.Max(max);
    }

    /// <summary>exp(score - max): 1 for the maximum, 0 where there are no more classes, NaN where both are infinite.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<float> Exponentials<T, TStorage>(T* row, int c, int classes, float max) where T : unmanaged where TStorage : struct, ICpuStorage<T> =>
        CpuVector.Exp(Scores<T, TStorage>(row, c, classes) - Vector512.Create(max));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static float ExponentialSum<T, TStorage>(T* row, int classes, float max) where T : unmanaged where TStorage : struct, ICpuStorage<T>
    {
        var sum = Vector512<float>.Zero;
        for (int c = 0; c < classes; c += CpuVector.Width) sum += Exponentials<T, TStorage>(row, c, classes, max);
        return Vector512.Sum(sum);
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
        return cpu.For(x.Dimensions[0], grain: SoftmaxCrossEntropyRows.RowsAtOnce(classes), classes <= ClassLanes.MostClasses ? Lanes : Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
        void Lanes(long first, long end)
        {
            const int width = CpuVector.Width;
            float* columns = stackalloc float[ClassLanes.Floats];
            Vector512<float> even = Vector512.Create(smoothing / classes), own = Vector512.Create(1f - smoothing), seed = Vector512.Create(scales[StepControl.LossSeed]);
            for (long n = first; n < end; n += width)
            {
                int count = (int)Math.Min(width, end - n);
                ClassLanes.Read<T, TStorage>(scores + n * classes, count, classes, columns);
                var max = Vector512.Load(columns);
                for (int c = 1; c < classes; c++) max = Vector512.Max(max, Vector512.Load(columns + c * width));
                var sum = Vector512<float>.Zero;
                for (int c = 0; c < classes; c++)
                {
                    var exponential = CpuVector.Exp(Vector512.Load(columns + c * width) - max);
                    sum += exponential;
                    exponential.Store(columns + c * width);
                }
                var scale = Vector512<float>.One / sum;
                Vector512<float> weight = Vector512.Load(weights + n), counts = ~Vector512.Equals(weight, Vector512<float>.Zero); // padding has no label, and what it scores may be anything
                var label = Vector512.Load(labels + n);
                var known = Vector512.LessThan(label.AsUInt32(), Vector512.Create((uint)classes)).AsSingle();
                var factor = Vector512.ConditionalSelect(known, weight * seed, Vector512.Create(float.NaN)); // no such class: the step is skipped
                for (int c = 0; c < classes; c++)
                {
                    var isLabel = Vector512.Equals(label, Vector512.Create(c)).AsSingle();
                    (((Vector512.Load(columns + c * width) * scale - (even + (isLabel & own))) * factor) & counts).Store(columns + c * width);
                }
                ClassLanes.Write<T, TStorage>(columns, count, classes, to + n * classes);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
        void Rows(long first, long end)
        {
            int atOnce = SoftmaxRows.AtOnce(classes), pitch = SoftmaxRows.Pitch(classes), whole = classes / CpuVector.Width * CpuVector.Width;
            bool keeps = SoftmaxRows.Keeps(classes);
            float seed = scales[StepControl.LossSeed];
            Vector512<float> even = Vector512.Create(smoothing / classes), own = Vector512.Create(1f - smoothing);
            T* last = to + end * classes;
            float* kept = stackalloc float[SoftmaxRows.Capacity], maxima = stackalloc float[SoftmaxRows.Most], sums = stackalloc float[SoftmaxRows.Most];
            for (long n = first; n < end; n += atOnce)
            {
                int count = (int)Math.Min(atOnce, end - n);
                SoftmaxRows.Exponentials<T, TStorage>(scores + n * classes, count, classes, kept, maxima, sums);
                for (int i = 0; i < count; i++)
                {
                    T* row = scores + (n + i) * classes, gradient = to + (n + i) * classes;
                    float* keep = kept + i * pitch;
                    if (weights[n + i] == 0f)
                    {
                        new Span<T>(gradient, classes).Clear(); // padding has no label, and what it scores may be anything
                        continue;
                    }
                    int label = labels[n + i];
                    // No such class: the step is skipped.
                    var factor = Vector512.Create((uint)label < (uint)classes ? weights[n + i] * seed : float.NaN);
                    var scale = Vector512.Create(1f / sums[i]);
                    for (int c = 0; c < whole; c += CpuVector.Width) TStorage.Store16(Gradient(keep, row, c, label, maxima[i], scale, factor), gradient + c);
                    if (whole < classes) CpuVector.StoreOver<T, TStorage>(Gradient(keep, row, whole, label, maxima[i], scale, factor), gradient + whole, classes - whole, last);
                }
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            Vector512<float> Gradient(float* keep, T* row, int c, int label, float max, Vector512<float> scale, Vector512<float> factor)
            {
                var softmax = SoftmaxRows.At<T, TStorage>(keeps, keep, row, c, max) * scale;
                var isLabel = Vector512.Equals(Vector512<int>.Indices, Vector512.Create(label - c)).AsSingle();
                return (softmax - (even + (isLabel & own))) * factor;
            }
        }
    }
}
