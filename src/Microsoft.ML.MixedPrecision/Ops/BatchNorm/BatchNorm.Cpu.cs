using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

// Channels lie together: a vector is 16 of them, and a part's rows (256 x 64 halves are 32 KB) stay in L1 from one block of
// channels to the next. Where channels are no multiple of 16, the last vector of a row reads, and writes, into the next row:
// so the last block goes first and rows go upwards, and what it spoils is written after it. Sums run in several chains, to
// hide the latency of an addition, and are joined in one order.

internal sealed unsafe partial class BatchNormStatistics
{
    public override Action<long, long> SumParts<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x);
        float* partial = cpu.Pointer<float>(parts);
        int* count = cpu.Pointer<int>(counters);
        int channels = x.Dimensions[^1], perExample = ChannelParts.RowsOfExample(x);
        return Sum;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Sum(long first, long end)
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
                    T* row = at + c;
                    var origin = TStorage.Load16(row);
                    Vector512<float> s0 = Vector512<float>.Zero, s1 = s0, q0 = s0, q1 = s0;
                    int r = 0;
                    for (; r <= rows - 2; r += 2, row += 2 * channels)
                    {
                        Vector512<float> d0 = TStorage.Load16(row) - origin, d1 = TStorage.Load16(row + channels) - origin;
                        s0 += d0;
                        s1 += d1;
                        q0 += d0 * d0;
                        q1 += d1 * d1;
                    }
                    if (r < rows)
                    {
                        var d0 = TStorage.Load16(row) - origin;
                        s0 += d0;
                        q0 += d0 * d0;
                    }
                    var sum = s0 + s1;
                    var away = sum / rows;
                    var (average, squares) = (origin + away, Vector512.Max(q0 + q1 - sum * away, Vector512<float>.Zero));
                    int width = Math.Min(CpuVector.Width, channels - c);
                    CpuVector.Store<float, CpuSingleStorage>(average, partial + part * 2 * channels + c, width);
                    CpuVector.Store<float, CpuSingleStorage>(squares, partial + (part * 2 + 1) * channels + c, width);
                }
            }
        }
    }

    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        float* partial = cpu.Pointer<float>(parts), means = cpu.Pointer<float>(mean), inverses = cpu.Pointer<float>(inverse);
        float* runMean = cpu.Pointer<float>(runningMean), runVariance = cpu.Pointer<float>(runningVariance);
        int* count = cpu.Pointer<int>(counters);
        int channels = x.Dimensions[^1], perExample = ChannelParts.RowsOfExample(x);
        return cpu.AfterParts<T, TStorage>(this, Join);

        void Join()
        {
            int valid = count[StepControl.Rows] * perExample;
            for (int c = 0; c < channels; c += CpuVector.Width)
            {
                float* part = partial + c;
                Vector512<float> average = Vector512.Load(part), squares = Vector512.Load(part + channels);
                float n = Math.Min(valid, ChannelParts.RowsPerPart);
                for (int start = ChannelParts.RowsPerPart; start < valid; start += ChannelParts.RowsPerPart)
                {
                    part += 2 * channels;
                    float more = Math.Min(valid - start, ChannelParts.RowsPerPart), total = n + more;
                    var delta = Vector512.Load(part) - average;
                    average += delta * (more / total);
                    squares += Vector512.Load(part + channels) + delta * delta * (n * more / total);
                    n = total;
                }
                var variance = squares / n;
                // What is not finite stays out of the running statistics: infinity and NaN less themselves are NaN.
                var finite = Vector512.Equals(average - average + (variance - variance), Vector512<float>.Zero);
                int width = Math.Min(CpuVector.Width, channels - c);
                CpuVector.Store<float, CpuSingleStorage>(average, means + c, width);
                CpuVector.Store<float, CpuSingleStorage>(Vector512<float>.One / Vector512.Sqrt(variance + Vector512.Create(eps)), inverses + c, width);
                Move(runMean + c, average, finite, width);
                Move(runVariance + c, squares / Math.Max(n - 1f, 1f), finite, width);
            }
        }

        void Move(float* running, Vector512<float> towards, Vector512<float> where, int width)
        {
            var old = Vector512.Load(running);
            CpuVector.Store<float, CpuSingleStorage>(Vector512.ConditionalSelect(where, old + (towards - old) * momentum, old), running, width);
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
        var user = new CpuUser<T, TStorage>(cpu, this);
        return _next is null ? user.With(new Unchanged()) : _next.Give<T, TStorage>(cpu, user);
    }

    private sealed class CpuUser<T, TStorage>(CpuBackend cpu, BatchNormForward kernel) : ICpuElementUser
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        public Action With<TElement>(TElement element) where TElement : unmanaged, ICpuElement => kernel.Bind<T, TStorage, TElement>(cpu, element);
    }

    private Action Bind<T, TStorage, TElement>(CpuBackend cpu, TElement element)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
        where TElement : unmanaged, ICpuElement
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y), weights = cpu.Pointer<T>(weight), biases = cpu.Pointer<T>(bias);
        float* means = cpu.Pointer<float>(mean), inverses = cpu.Pointer<float>(inverse);
        int* count = cpu.Pointer<int>(counters);
        int channels = x.Dimensions[^1], rows = ChannelParts.Rows(x), perExample = ChannelParts.RowsOfExample(x), atOnce = ChannelParts.RowsAtOnce(channels);
        return cpu.For(ChannelParts.Count(x), grain: 1, Parts);

        void Parts(long first, long end)
        {
            int valid = count[StepControl.Rows] * perExample, pitch = FloatBuffer.Pitch(atOnce * channels);
            float* buffer = FloatBuffer.Of(2 * pitch);
            for (long part = first; part < end; part++)
            {
                long start = part * ChannelParts.RowsPerPart, stop = Math.Min(rows, start + ChannelParts.RowsPerPart), stopValid = Math.Clamp(valid, start, stop);
                for (long row = start; row < stopValid; row += atOnce)
                {
                    int some = (int)Math.Min(atOnce, stopValid - row);
                    float* source = TStorage.AsFloats(from + row * channels, buffer, some * channels), target = TStorage.FloatsFor(to + row * channels, buffer + pitch);
                    Normalize(source, target, row, some);
                    TStorage.Store(target, to + row * channels, some * channels);
                }
                new Span<T>(to + stopValid * channels, (int)((stop - stopValid) * channels)).Clear();
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Normalize(float* source, float* target, long first, int lines)
        {
            for (int c = (channels - 1) / CpuVector.Width * CpuVector.Width; c >= 0; c -= CpuVector.Width)
            {
                int width = Math.Min(CpuVector.Width, channels - c), whole = ChannelParts.WholeStores(lines, channels, c);
                var average = CpuVector.Load<float, CpuSingleStorage>(means + c, width);
                var scale = CpuVector.Load<float, CpuSingleStorage>(inverses + c, width) * CpuVector.Load<T, TStorage>(weights + c, width);
                var shift = CpuVector.Load<T, TStorage>(biases + c, width);
                float* row = source + c, y = target + c;
                long place = first * channels + c;
                int line = 0;
                for (; line < whole; line++, row += channels, y += channels, place += channels)
                    element.Apply((Vector512.Load(row) - average) * scale + shift, place).Store(y);
                for (; line < lines; line++, row += channels, y += channels, place += channels)
                    CpuVector.Store<float, CpuSingleStorage>(element.Apply((Vector512.Load(row) - average) * scale + shift, place, width), y, width);
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
                    Vector512<float> s0 = Vector512<float>.Zero, s1 = s0, p0 = s0, p1 = s0;
                    T* row = from + start * channels + c, g = gradient + start * channels + c;
                    int r = 0;
                    for (; r <= rows - 2; r += 2, row += 2 * channels, g += 2 * channels)
                    {
                        Vector512<float> d0 = TStorage.Load16(g), d1 = TStorage.Load16(g + channels);
                        s0 += d0;
                        s1 += d1;
                        p0 += d0 * (TStorage.Load16(row) - average);
                        p1 += d1 * (TStorage.Load16(row + channels) - average);
                    }
                    if (r < rows)
                    {
                        var d0 = TStorage.Load16(g);
                        s0 += d0;
                        p0 += d0 * (TStorage.Load16(row) - average);
                    }
                    Vector512<float> sum = s0 + s1, product = p0 + p1;
                    CpuVector.Store<float, CpuSingleStorage>(sum, partial + part * 2 * channels + c, width);
                    CpuVector.Store<float, CpuSingleStorage>(product * inverse, partial + (part * 2 + 1) * channels + c, width);
                }
            }
        }

        void Join()
        {
            int valid = count[StepControl.Rows] * perExample;
            for (int i = 0; i < 2 * channels; i += CpuVector.Width)
            {
                float* part = partial + i;
                var sum = Vector512<float>.Zero;
                for (int start = 0; start < valid; start += ChannelParts.RowsPerPart, part += 2 * channels) sum += Vector512.Load(part);
                CpuVector.Store<float, CpuSingleStorage>(sum, totals + i, Math.Min(CpuVector.Width, 2 * channels - i));
            }
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
        int channels = x.Dimensions[^1], rows = ChannelParts.Rows(x), perExample = ChannelParts.RowsOfExample(x), atOnce = ChannelParts.RowsAtOnce(channels);
        return cpu.For(ChannelParts.Count(x), grain: 1, Parts);

        void Parts(long first, long end)
        {
            int valid = count[StepControl.Rows] * perExample, pitch = FloatBuffer.Pitch(atOnce * channels);
            float* buffer = FloatBuffer.Of(3 * pitch);
            for (long part = first; part < end; part++)
            {
                long start = part * ChannelParts.RowsPerPart, stop = Math.Min(rows, start + ChannelParts.RowsPerPart), stopValid = Math.Clamp(valid, start, stop);
                for (long row = start; row < stopValid; row += atOnce)
                {
                    int some = (int)Math.Min(atOnce, stopValid - row);
                    float* source = TStorage.AsFloats(from + row * channels, buffer, some * channels), dy = TStorage.AsFloats(gradient + row * channels, buffer + pitch, some * channels);
                    float* target = TStorage.FloatsFor(to + row * channels, buffer + 2 * pitch);
                    Differentiate(source, dy, target, some, valid);
                    TStorage.Store(target, to + row * channels, some * channels);
                }
                new Span<T>(to + stopValid * channels, (int)((stop - stopValid) * channels)).Clear();
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Differentiate(float* source, float* dy, float* target, int lines, int valid)
        {
            for (int c = (channels - 1) / CpuVector.Width * CpuVector.Width; c >= 0; c -= CpuVector.Width)
            {
                int width = Math.Min(CpuVector.Width, channels - c), whole = ChannelParts.WholeStores(lines, channels, c);
                var average = CpuVector.Load<float, CpuSingleStorage>(means + c, width);
                var inverse = CpuVector.Load<float, CpuSingleStorage>(inverses + c, width);
                var scale = inverse * CpuVector.Load<T, TStorage>(weights + c, width);
                var offset = CpuVector.Load<float, CpuSingleStorage>(totals + c, width) / valid;
                var slope = CpuVector.Load<float, CpuSingleStorage>(totals + channels + c, width) / valid * inverse;
                float* row = source + c, g = dy + c, y = target + c;
                int line = 0;
                for (; line < whole; line++, row += channels, g += channels, y += channels)
                    ((Vector512.Load(g) - offset - (Vector512.Load(row) - average) * slope) * scale).Store(y);
                for (; line < lines; line++, row += channels, g += channels, y += channels)
                    CpuVector.Store<float, CpuSingleStorage>((Vector512.Load(g) - offset - (Vector512.Load(row) - average) * slope) * scale, y, width);
            }
        }
    }
}
