using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

// Channels lie together: a vector is 16 of them, and a part's rows (256 x 64 halves are 32 KB) stay in L1 from one block of
// channels to the next. The last vector of a row may read into the next row, and is cut when it is stored.

internal sealed unsafe partial class BatchNormStatistics
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x);
        float* partial = cpu.Pointer<float>(parts), means = cpu.Pointer<float>(mean), inverses = cpu.Pointer<float>(inverse);
        float* runMean = cpu.Pointer<float>(runningMean), runVariance = cpu.Pointer<float>(runningVariance);
        int* count = cpu.Pointer<int>(counters);
        int channels = x.Dimensions[^1], perExample = ChannelParts.RowsOfExample(x), partCount = ChannelParts.Count(x);
        var run = cpu.For(partCount, grain: 1, Parts);
        return () =>
        {
            run();
            Join();
        };

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Parts(long first, long end)
        {
            int valid = count[StepControl.Rows] * perExample;
            for (long part = first; part < end; part++)
            {
                long start = part * ChannelParts.RowsPerPart;
                int rows = (int)Math.Min(valid - start, ChannelParts.RowsPerPart);
                if (rows <= 0) continue;
                T* at = from + start * channels;
                for (int c = 0; c < channels; c += CpuVector.Width)
                {
                    var sum = Vector512<float>.Zero;
                    T* row = at + c;
                    for (int r = 0; r < rows; r++, row += channels) sum += TStorage.Load16(row);
                    var average = sum / rows;
                    var squares = Vector512<float>.Zero;
                    row = at + c;
                    for (int r = 0; r < rows; r++, row += channels)
                    {
                        var deviation = TStorage.Load16(row) - average;
                        squares += deviation * deviation;
                    }
                    int width = Math.Min(CpuVector.Width, channels - c);
                    CpuVector.Store<float, CpuSingleStorage>(average, partial + part * 2 * channels + c, width);
                    CpuVector.Store<float, CpuSingleStorage>(squares, partial + (part * 2 + 1) * channels + c, width);
                }
            }
        }

        void Join()
        {
            int valid = count[StepControl.Rows] * perExample;
            for (int c = 0; c < channels; c++)
            {
                float average = partial[c], squares = partial[channels + c], n = Math.Min(valid, ChannelParts.RowsPerPart);
                for (int part = 1; part * ChannelParts.RowsPerPart < valid; part++)
                {
                    float more = Math.Min(valid - part * ChannelParts.RowsPerPart, ChannelParts.RowsPerPart), total = n + more;
                    float delta = partial[(long)part * 2 * channels + c] - average;
                    average += delta * (more / total);
                    squares += partial[((long)part * 2 + 1) * channels + c] + delta * delta * (n * more / total);
                    n = total;
                }
                float variance = squares / n;
                means[c] = average;
                inverses[c] = 1f / MathF.Sqrt(variance + eps);
                if (!float.IsFinite(average) || !float.IsFinite(variance)) continue;
                runMean[c] += momentum * (average - runMean[c]);
                runVariance[c] += momentum * (squares / Math.Max(n - 1f, 1f) - runVariance[c]);
            }
        }
    }
}

internal sealed unsafe partial class BatchNormRunning
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        float* from = cpu.Pointer<float>(runningMean), variance = cpu.Pointer<float>(runningVariance), to = cpu.Pointer<float>(mean), inverses = cpu.Pointer<float>(inverse);
        int channels = (int)mean.Length;
        return () =>
        {
            for (int c = 0; c < channels; c++)
            {
                to[c] = from[c];
                inverses[c] = 1f / MathF.Sqrt(variance[c] + eps);
            }
        };
    }
}

internal sealed unsafe partial class BatchNormForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y), weights = cpu.Pointer<T>(weight), biases = cpu.Pointer<T>(bias);
        float* means = cpu.Pointer<float>(mean), inverses = cpu.Pointer<float>(inverse);
        int channels = x.Dimensions[^1], rows = ChannelParts.Rows(x);
        return cpu.For(ChannelParts.Count(x), grain: 1, Parts);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Parts(long first, long end)
        {
            for (long part = first; part < end; part++)
            {
                long start = part * ChannelParts.RowsPerPart, stop = Math.Min(rows, start + ChannelParts.RowsPerPart);
                for (int c = 0; c < channels; c += CpuVector.Width)
                {
                    int width = Math.Min(CpuVector.Width, channels - c);
                    var average = CpuVector.Load<float, CpuSingleStorage>(means + c, width);
                    var scale = CpuVector.Load<float, CpuSingleStorage>(inverses + c, width) * CpuVector.Load<T, TStorage>(weights + c, width);
                    var shift = CpuVector.Load<T, TStorage>(biases + c, width);
                    T* row = from + start * channels + c, target = to + start * channels + c;
                    for (long r = start; r < stop; r++, row += channels, target += channels)
                    {
                        var value = (TStorage.Load16(row) - average) * scale + shift;
                        if (width == CpuVector.Width) TStorage.Store16(value, target);
                        else CpuVector.Store<T, TStorage>(value, target, width);
                    }
                }
            }
        }
    }
}

internal sealed unsafe partial class BatchNormSums
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), gradient = cpu.Pointer<T>(dy), dWeight = cpu.Pointer<T>(weightGradient), dBias = cpu.Pointer<T>(biasGradient);
        float* means = cpu.Pointer<float>(mean), inverses = cpu.Pointer<float>(inverse), partial = cpu.Pointer<float>(parts), totals = cpu.Pointer<float>(sums);
        int* count = cpu.Pointer<int>(counters);
        int channels = x.Dimensions[^1], perExample = ChannelParts.RowsOfExample(x);
        var run = cpu.For(ChannelParts.Count(x), grain: 1, Parts);
        return () =>
        {
            run();
            Join();
        };

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Parts(long first, long end)
        {
            int valid = count[StepControl.Rows] * perExample;
            for (long part = first; part < end; part++)
            {
                long start = part * ChannelParts.RowsPerPart;
                int rows = (int)Math.Min(valid - start, ChannelParts.RowsPerPart);
                if (rows <= 0) continue;
                for (int c = 0; c < channels; c += CpuVector.Width)
                {
                    int width = Math.Min(CpuVector.Width, channels - c);
                    var average = CpuVector.Load<float, CpuSingleStorage>(means + c, width);
                    var inverse = CpuVector.Load<float, CpuSingleStorage>(inverses + c, width);
                    Vector512<float> sum = Vector512<float>.Zero, product = Vector512<float>.Zero;
                    T* row = from + start * channels + c, g = gradient + start * channels + c;
                    for (int r = 0; r < rows; r++, row += channels, g += channels)
                    {
                        var d = TStorage.Load16(g);
                        sum += d;
                        product += d * (TStorage.Load16(row) - average);
                    }
                    CpuVector.Store<float, CpuSingleStorage>(sum, partial + part * 2 * channels + c, width);
                    CpuVector.Store<float, CpuSingleStorage>(product * inverse, partial + (part * 2 + 1) * channels + c, width);
                }
            }
        }

        void Join()
        {
            int valid = count[StepControl.Rows] * perExample;
            new Span<float>(totals, 2 * channels).Clear();
            for (long part = 0; part * ChannelParts.RowsPerPart < valid; part++)
                for (int i = 0; i < 2 * channels; i++) totals[i] += partial[part * 2 * channels + i];
            TStorage.Store(totals, dBias, channels);
            TStorage.Store(totals + channels, dWeight, channels);
        }
    }
}

internal sealed unsafe partial class BatchNormBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), gradient = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx), weights = cpu.Pointer<T>(weight);
        float* means = cpu.Pointer<float>(mean), inverses = cpu.Pointer<float>(inverse), totals = cpu.Pointer<float>(sums);
        int* count = cpu.Pointer<int>(counters);
        int channels = x.Dimensions[^1], rows = ChannelParts.Rows(x), perExample = ChannelParts.RowsOfExample(x);
        return cpu.For(ChannelParts.Count(x), grain: 1, Parts);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Parts(long first, long end)
        {
            int valid = count[StepControl.Rows] * perExample;
            for (long part = first; part < end; part++)
            {
                long start = part * ChannelParts.RowsPerPart, stop = Math.Min(rows, start + ChannelParts.RowsPerPart), stopValid = Math.Clamp(valid, start, stop);
                for (int c = 0; c < channels; c += CpuVector.Width)
                {
                    int width = Math.Min(CpuVector.Width, channels - c);
                    var average = CpuVector.Load<float, CpuSingleStorage>(means + c, width);
                    var inverse = CpuVector.Load<float, CpuSingleStorage>(inverses + c, width);
                    var scale = inverse * CpuVector.Load<T, TStorage>(weights + c, width);
                    var offset = CpuVector.Load<float, CpuSingleStorage>(totals + c, width) / valid;
                    var slope = CpuVector.Load<float, CpuSingleStorage>(totals + channels + c, width) / valid * inverse;
                    T* row = from + start * channels + c, g = gradient + start * channels + c, target = to + start * channels + c;
                    for (long r = start; r < stopValid; r++, row += channels, g += channels, target += channels)
                    {
                        var value = (TStorage.Load16(g) - offset - (TStorage.Load16(row) - average) * slope) * scale;
                        if (width == CpuVector.Width) TStorage.Store16(value, target);
                        else CpuVector.Store<T, TStorage>(value, target, width);
                    }
                }
                new Span<T>(to + stopValid * channels, (int)((stop - stopValid) * channels)).Clear();
            }
        }
    }
}
