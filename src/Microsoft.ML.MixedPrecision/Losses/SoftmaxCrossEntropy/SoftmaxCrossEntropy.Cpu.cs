using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

// A row's last vector reads beyond it: those lanes are set to -infinity, which is no maximum and whose exponential is 0.

internal sealed unsafe partial class SoftmaxCrossEntropyRows
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* scores = cpu.Pointer<T>(x);
        int* labels = cpu.Pointer<int>(targets.Labels), counters = cpu.Pointer<int>(control.Counters);
        float* weights = cpu.Pointer<float>(targets.Weights);
        float* losses = cpu.Pointer<float>(rows.Losses), rowWeights = cpu.Pointer<float>(rows.Weights), metrics = cpu.Pointer<float>(rows.Metrics);
        int classes = x.Dimensions[^1];
        return cpu.For(x.Dimensions[0], grain: RowsAtOnce(classes), Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            for (long n = first; n < end; n++)
            {
                float weight = weights[n];
                if (n >= counters[StepControl.Rows] || weight == 0f)
                {
                    losses[n] = rowWeights[n] = metrics[n] = 0f;
                    continue;
                }
                T* row = scores + n * classes;
                float max = Max<T, TStorage>(row, classes), target = float.NaN; // where there is no such class: shows in the loss, and reads no other memory
                int label = labels[n];
                if ((uint)label < (uint)classes) target = (1f - smoothing) * TStorage.Load(row[label]);
                if (smoothing > 0f) target += smoothing / classes * Sum<T, TStorage>(row, classes); // 0 * -infinity would be NaN
                rowWeights[n] = weight;
                losses[n] = weight * (max + MathF.Log(ExponentialSum<T, TStorage>(row, classes, max)) - target);
                metrics[n] = IndexOf<T, TStorage>(row, classes, max) == label ? weight : 0f;
            }
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
        return cpu.For(x.Dimensions[0], grain: SoftmaxCrossEntropyRows.RowsAtOnce(classes), Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            float even = smoothing / classes, seed = scales[StepControl.LossSeed];
            T* last = to + end * classes;
            for (long n = first; n < end; n++)
            {
                T* row = scores + n * classes, gradient = to + n * classes;
                float weight = weights[n], factor = weight * seed;
                if (weight == 0f)
                {
                    new Span<T>(gradient, classes).Clear(); // padding has no label, and what it scores may be anything
                    continue;
                }
                int label = labels[n];
                if ((uint)label >= (uint)classes) factor = float.NaN; // no such class: the step is skipped
                float max = SoftmaxCrossEntropyRows.Max<T, TStorage>(row, classes);
                var exponentials = SoftmaxCrossEntropyRows.Exponentials<T, TStorage>(row, 0, classes, max); // all there are, as a rule
                var sums = exponentials;
                for (int c = CpuVector.Width; c < classes; c += CpuVector.Width) sums += SoftmaxCrossEntropyRows.Exponentials<T, TStorage>(row, c, classes, max);
                var scale = Vector512.Create(1f / Vector512.Sum(sums));
                for (int c = 0; c < classes; c += CpuVector.Width)
                {
                    var softmax = (c == 0 ? exponentials : SoftmaxCrossEntropyRows.Exponentials<T, TStorage>(row, c, classes, max)) * scale;
                    var isLabel = Vector512.Equals(Vector512<int>.Indices, Vector512.Create(label - c)).AsSingle();
                    var target = Vector512.Create(even) + (isLabel & Vector512.Create(1f - smoothing));
                    CpuVector.StoreOver<T, TStorage>((softmax - target) * factor, gradient + c, Math.Min(CpuVector.Width, classes - c), last);
                }
            }
        }
    }
}
