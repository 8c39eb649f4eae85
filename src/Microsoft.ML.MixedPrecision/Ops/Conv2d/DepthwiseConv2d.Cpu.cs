using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

// A vector is 16 channels of a pixel. Four pixels of a row at once share each tap's weights, and hide the latency of an FMA.

internal sealed unsafe partial class DepthwiseForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu) => new DepthwiseCorrelation<T, TStorage>(
        cpu, DepthwiseGeometry.Forward(Geometry), cpu.Pointer<T>(x), cpu.Pointer<T>(weight), bias is null ? null : cpu.Pointer<T>(bias), cpu.Pointer<T>(y), reversed: false).Bind();
}

internal sealed unsafe partial class DepthwiseInputGradient
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu) => new DepthwiseCorrelation<T, TStorage>(
        cpu, DepthwiseGeometry.InputGradient(Geometry), cpu.Pointer<T>(dy), cpu.Pointer<T>(weight), null, cpu.Pointer<T>(dx), reversed: true).Bind();
}

/// <summary>Each target pixel from the taps of its window. Scratch: the weights as floats, then the lines of each thread.</summary>
/// <param name="reversed">Whether the last weight meets the first tap.</param>
internal sealed unsafe class DepthwiseCorrelation<T, TStorage>(CpuBackend cpu, DepthwiseGeometry g, T* source, T* weights, T* bias, T* target, bool reversed)
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
{
    private const int Width = CpuVector.Width;

    public Action Bind()
    {
        int slots = g.Slots(cpu.Threads);
        long perSlot = DepthwiseLines<T, TStorage>.Floats(g);
        cpu.Reserve(g.WeightFloats + g.Taps + Width + slots * perSlot);
        var run = cpu.For(slots, grain: 1, (first, end) =>
        {
            for (long slot = first; slot < end; slot++)
                Lines((int)(slot * g.TargetLines / slots), (int)((slot + 1) * g.TargetLines / slots), cpu.Scratch + g.WeightFloats + slot * perSlot);
        });
        return () =>
        {
            ReadWeights(cpu.Scratch, cpu.Scratch + g.WeightFloats + slots * perSlot);
            run();
        };
    }

    /// <summary>[channel, tap] to [block, tap, channel].</summary>
    private void ReadWeights(float* to, float* taps)
    {
        new Span<float>(to, g.WeightFloats).Clear();
        for (int c = 0; c < g.Channels; c++)
        {
            TStorage.LoadWide(weights + (long)c * g.Taps, taps, g.Taps);
            float* column = to + c / Width * g.Taps * Width + c % Width;
            for (int tap = 0; tap < g.Taps; tap++) column[tap * Width] = taps[reversed ? g.Taps - 1 - tap : tap];
        }
    }

    private void Lines(int first, int end, float* memory)
    {
        var lines = new DepthwiseLines<T, TStorage>(source, g, memory);
        float** rows = stackalloc float*[g.Kernel.Height];
        T* last = target + (long)end * g.Target.Width * g.Channels;
        for (int line = first; line < end; line++)
        {
            int image = line / g.Target.Height, top = line % g.Target.Height * g.Stride.Height;
            for (int ky = 0; ky < g.Kernel.Height; ky++) rows[ky] = lines.Line(image, top + ky * g.Dilation.Height);
            // The last vector of a pixel writes into the next one, which is written after it.
            for (int block = g.Blocks - 1; block >= 0; block--) Row(rows, block, cpu.Scratch + block * g.Taps * Width, target + (long)line * g.Target.Width * g.Channels, last);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
    private void Row(float** rows, int block, float* weight, T* to, T* last)
    {
        int channels = g.Channels, columns = g.Target.Width, count = Math.Min(Width, channels - block * Width);
        int kernelHeight = g.Kernel.Height, kernelWidth = g.Kernel.Width, start = block * g.LineWidth * Width, stride = g.Stride.Width * Width, dilation = g.Dilation.Width * Width;
        var added = bias == null ? Vector512<float>.Zero : TStorage.Load16(bias + block * Width);
        to += block * Width;
        float* four = stackalloc float[4 * Width];
        if (columns < 4)
        {
            for (int x = 0; x < columns; x++) CpuVector.StoreOver<T, TStorage>(One(rows, start + x * stride, weight) + added, to + (long)x * channels, count, last);
            return;
        }
        for (int x = 0; x < columns; x += 4)
        {
            x = Math.Min(x, columns - 4); // the last four may be some of those before, once more
            Vector512<float> s0 = Vector512<float>.Zero, s1 = s0, s2 = s0, s3 = s0;
            float* w = weight;
            for (int ky = 0; ky < kernelHeight; ky++, w += kernelWidth * Width)
            {
                if (rows[ky] == null) continue;
                float* at = rows[ky] + start + x * stride;
                for (int kx = 0; kx < kernelWidth; kx++, at += dilation)
                {
                    var tap = Vector512.Load(w + kx * Width);
                    s0 = Vector512.FusedMultiplyAdd(Vector512.Load(at), tap, s0);
                    s1 = Vector512.FusedMultiplyAdd(Vector512.Load(at + stride), tap, s1);
                    s2 = Vector512.FusedMultiplyAdd(Vector512.Load(at + 2 * stride), tap, s2);
                    s3 = Vector512.FusedMultiplyAdd(Vector512.Load(at + 3 * stride), tap, s3);
                }
            }
            T* pixel = to + (long)x * channels;
            if (pixel + 3 * channels + Width <= last)
            {
                TStorage.Store16(s0 + added, pixel);
                TStorage.Store16(s1 + added, pixel + channels);
                TStorage.Store16(s2 + added, pixel + 2 * channels);
                TStorage.Store16(s3 + added, pixel + 3 * channels);
                continue;
            }
            // By way of memory: a call here would make the sums above live on the stack.
            (s0 + added).Store(four);
            (s1 + added).Store(four + Width);
            (s2 + added).Store(four + 2 * Width);
            (s3 + added).Store(four + 3 * Width);
            for (int i = 0; i < 4; i++) CpuVector.StoreOver<T, TStorage>(Vector512.Load(four + i * Width), pixel + (long)i * channels, count, last);
        }
    }

    private Vector512<float> One(float** rows, int column, float* weight)
    {
        var sum = Vector512<float>.Zero;
        for (int ky = 0; ky < g.Kernel.Height; ky++, weight += g.Kernel.Width * Width)
        {
            if (rows[ky] == null) continue;
            float* at = rows[ky] + column;
            for (int kx = 0; kx < g.Kernel.Width; kx++, at += g.Dilation.Width * Width) sum = Vector512.FusedMultiplyAdd(Vector512.Load(at), Vector512.Load(weight + kx * Width), sum);
        }
        return sum;
    }
}

internal sealed unsafe partial class DepthwiseWeightGradient
{
    private const int Width = CpuVector.Width, MostParts = 64;

    /// <summary>Scratch: the sums of each part [block, tap, channel], then for each thread its lines, one of zeros, and one of dy.</summary>
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        var g = DepthwiseGeometry.Forward(Geometry);
        T* from = cpu.Pointer<T>(x), gradient = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(weightGradient);
        int lines = g.TargetLines, parts = Math.Min(lines, MostParts), slots = Math.Min(g.Slots(cpu.Threads), parts);
        int dyPitch = g.Target.Width * Width;
        long sumFloats = (long)parts * g.WeightFloats, ring = DepthwiseLines<T, TStorage>.Floats(g), perSlot = ring + g.LineFloats + (long)g.Blocks * dyPitch;
        cpu.Reserve(sumFloats + slots * perSlot);
        var run = cpu.For(slots, grain: 1, (first, end) =>
        {
            for (long slot = first; slot < end; slot++) Parts((int)(slot * parts / slots), (int)((slot + 1) * parts / slots), cpu.Scratch + sumFloats + slot * perSlot);
        });
        return () =>
        {
            run();
            Join(cpu.Scratch);
        };

        void Parts(int first, int end, float* memory)
        {
            var source = new DepthwiseLines<T, TStorage>(from, g, memory);
            float* nothing = memory + ring, dyLine = nothing + g.LineFloats;
            new Span<float>(nothing, g.LineFloats).Clear();
            float** rows = stackalloc float*[g.Kernel.Height];
            for (int part = first; part < end; part++)
            {
                float* sums = cpu.Scratch + (long)part * g.WeightFloats;
                new Span<float>(sums, g.WeightFloats).Clear();
                for (int line = (int)((long)part * lines / parts); line < (int)((part + 1L) * lines / parts); line++)
                {
                    int image = line / g.Target.Height, top = line % g.Target.Height * g.Stride.Height;
                    for (int ky = 0; ky < g.Kernel.Height; ky++)
                    {
                        float* row = source.Line(image, top + ky * g.Dilation.Height);
                        rows[ky] = row == null ? nothing : row;
                    }
                    T* pixel = gradient + (long)line * g.Target.Width * g.Channels;
                    for (int column = 0; column < g.Target.Width; column++, pixel += g.Channels)
                        for (int block = 0; block < g.Blocks; block++) TStorage.Load16(pixel + block * Width).Store(dyLine + block * dyPitch + column * Width);
                    for (int block = 0; block < g.Blocks; block++) Add(g, rows, block, dyLine + block * dyPitch, sums + block * g.Taps * Width);
                }
            }
        }

        void Join(float* sums)
        {
            for (int block = 0; block < g.Blocks; block++)
            {
                for (int tap = 0; tap < g.Taps; tap++)
                {
                    float* at = sums + (block * g.Taps + tap) * Width;
                    var sum = Vector512.Load(at);
                    for (int part = 1; part < parts; part++) sum += Vector512.Load(at + (long)part * g.WeightFloats);
                    CpuVector.Store<T, TStorage>(sum, to + (long)block * Width * g.Taps + tap, Math.Min(Width, g.Channels - block * Width), g.Taps);
                }
            }
        }
    }

    /// <summary>A row's products into the sums of 16 channels: five taps at once, each dy loaded for all of them. The last five may hold a tap more than once, and write the same.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Add(in DepthwiseGeometry g, float** rows, int block, float* dyLine, float* sums)
    {
        int taps = g.Taps, kernelWidth = g.Kernel.Width, columns = g.Target.Width, start = block * g.LineWidth * Width, dilation = g.Dilation.Width * Width, stride = g.Stride.Width * Width;
        for (int tap = 0; tap < taps; tap += 5)
        {
            int t1 = Math.Min(tap + 1, taps - 1), t2 = Math.Min(tap + 2, taps - 1), t3 = Math.Min(tap + 3, taps - 1), t4 = Math.Min(tap + 4, taps - 1);
            float* y = dyLine;
            float* x0 = rows[tap / kernelWidth] + start + tap % kernelWidth * dilation, x1 = rows[t1 / kernelWidth] + start + t1 % kernelWidth * dilation;
            float* x2 = rows[t2 / kernelWidth] + start + t2 % kernelWidth * dilation, x3 = rows[t3 / kernelWidth] + start + t3 % kernelWidth * dilation;
            float* x4 = rows[t4 / kernelWidth] + start + t4 % kernelWidth * dilation;
            var s0 = Vector512.Load(sums + tap * Width);
            var s1 = Vector512.Load(sums + t1 * Width);
            var s2 = Vector512.Load(sums + t2 * Width);
            var s3 = Vector512.Load(sums + t3 * Width);
            var s4 = Vector512.Load(sums + t4 * Width);
            for (int column = 0, at = 0; column < columns; column++, at += stride, y += Width)
            {
                var gradient = Vector512.Load(y);
                s0 = Vector512.FusedMultiplyAdd(Vector512.Load(x0 + at), gradient, s0);
                s1 = Vector512.FusedMultiplyAdd(Vector512.Load(x1 + at), gradient, s1);
                s2 = Vector512.FusedMultiplyAdd(Vector512.Load(x2 + at), gradient, s2);
                s3 = Vector512.FusedMultiplyAdd(Vector512.Load(x3 + at), gradient, s3);
                s4 = Vector512.FusedMultiplyAdd(Vector512.Load(x4 + at), gradient, s4);
            }
            s0.Store(sums + tap * Width);
            s1.Store(sums + t1 * Width);
            s2.Store(sums + t2 * Width);
            s3.Store(sums + t3 * Width);
            s4.Store(sums + t4 * Width);
        }
    }
}
