using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Moves blocks of an operand from a reader into FP32 panels that fit the cache.</summary>
internal static unsafe class Packing
{
    /// <summary>Lines converted at once on the way to panels: 16 lines of 512 floats are 32 KB.</summary>
    private const int LinesAtOnce = 16;

    /// <summary>Panels of B, <paramref name="width"/> columns each, k after k; panel p begins at p * width * depth.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OfB<TReader>(TReader reader, int k0, int depth, int start, int count, int width, float* panels, float* scratch)
        where TReader : unmanaged, IReader
    {
        if (TReader.LinesAreRows) AcrossLines(reader, k0, depth, start, count, width, panels, scratch);
        else AlongLines(reader, k0, depth, start, count, width, panels, scratch);
    }

    /// <summary>
    /// Lines are steps of k (B by rows, A by columns): panel p holds width elements of each k, k after k.
    /// <paramref name="scratch"/> takes LinesAtOnce * (count + 16) floats.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AcrossLines<TReader>(TReader reader, int k0, int depth, int start, int count, int width, float* panels, float* scratch)
        where TReader : unmanaged, IReader
    {
        if (TReader.ShortRunsAreCheap)
        {
            // Straight into the panels. Runs of a width that is no multiple of 16 spill into what follows, so each
            // panel is finished before the next begins; otherwise few lines at once, for the sake of the source's pages.
            int chunk = width % 16 == 0 ? LinesAtOnce : depth;
            for (int k = 0; k < depth; k += chunk)
                for (int i = 0; i < count; i += width)
                    reader.Read(k0 + k, Math.Min(chunk, depth - k), start + i, Math.Min(width, count - i), panels + (long)i * depth + (long)k * width, width);
            return;
        }
        int stride = (count + 31) & ~15;
        for (int k = 0; k < depth; k += LinesAtOnce)
        {
            int lines = Math.Min(LinesAtOnce, depth - k);
            reader.Read(k0 + k, lines, start, count, scratch, stride);
            float* panel = panels + (long)k * width;
            for (int i = 0; i < count; i += width, panel += (long)depth * width)
            {
                float* from = scratch + i, to = panel;
                for (int line = 0; line < lines; line++, from += stride, to += width) Copy(from, to, width);
            }
        }
    }

    /// <summary>Lines are columns of B (B transposed): 16 lines at a time are turned by 16x16 blocks in registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AlongLines<TReader>(TReader reader, int k0, int depth, int start, int count, int width, float* panels, float* scratch)
        where TReader : unmanaged, IReader
    {
        const int stride = Blocking.MaxDepth + 16;
        const int step = LinesAtOnce; // every panel of B is a multiple of 16 wide
        for (int i = 0; i < count; i += step)
        {
            reader.Read(start + i, Math.Min(step, count - i), k0, depth, scratch, stride);
            float* to = panels + (long)(i / width) * width * depth + i % width;
            int k = 0;
            for (; k <= depth - 16; k += 16) Transpose16(scratch + k, stride, to + (long)k * width, width);
            for (; k < depth; k++)
                for (int j = 0; j < step; j++) to[(long)k * width + j] = scratch[j * stride + k];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Copy(float* from, float* to, int count)
    {
        int i = 0;
        for (; i <= count - 16; i += 16) Vector512.Load(from + i).Store(to + i);
        for (; i < count; i += 2) *(long*)(to + i) = *(long*)(from + i);
    }

    /// <summary>to[j * width + i] = from[i * stride + j] for 16x16: 64 shuffles for 256 elements, where a scalar loop takes about a cycle for each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose16(float* from, int stride, float* to, int width)
    {
        if (!Avx512F.IsSupported)
        {
            for (int i = 0; i < 16; i++)
                for (int j = 0; j < 16; j++) to[j * width + i] = from[i * stride + j];
            return;
        }
        // Of rows 4q..4q+3, lane l of column r holds their elements of column 4l + r; then the lanes across the four groups.
        var (a0, a1, a2, a3) = FourRows(from, stride);
        var (b0, b1, b2, b3) = FourRows(from + 4 * stride, stride);
        var (c0, c1, c2, c3) = FourRows(from + 8 * stride, stride);
        var (d0, d1, d2, d3) = FourRows(from + 12 * stride, stride);
        Spread(a0, b0, c0, d0, to, width);
        Spread(a1, b1, c1, d1, to + width, width);
        Spread(a2, b2, c2, d2, to + 2 * width, width);
        Spread(a3, b3, c3, d3, to + 3 * width, width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector512<float>, Vector512<float>, Vector512<float>, Vector512<float>) FourRows(float* from, int stride)
    {
        Vector512<float> r0 = Vector512.Load(from), r1 = Vector512.Load(from + stride), r2 = Vector512.Load(from + 2 * stride), r3 = Vector512.Load(from + 3 * stride);
        Vector512<double> a = Avx512F.UnpackLow(r0, r1).AsDouble(), b = Avx512F.UnpackLow(r2, r3).AsDouble();
        Vector512<double> c = Avx512F.UnpackHigh(r0, r1).AsDouble(), d = Avx512F.UnpackHigh(r2, r3).AsDouble();
        return (Avx512F.UnpackLow(a, b).AsSingle(), Avx512F.UnpackHigh(a, b).AsSingle(), Avx512F.UnpackLow(c, d).AsSingle(), Avx512F.UnpackHigh(c, d).AsSingle());
    }

    /// <summary>Lane l of each to row 4l of the target.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Spread(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d, float* to, int width)
    {
        const byte even = 0b10_00_10_00, odd = 0b11_01_11_01;
        Vector512<float> low = Avx512F.Shuffle4x128(a, b, even), high = Avx512F.Shuffle4x128(c, d, even);
        Avx512F.Shuffle4x128(low, high, even).Store(to);
        Avx512F.Shuffle4x128(low, high, odd).Store(to + 8 * width);
        low = Avx512F.Shuffle4x128(a, b, odd);
        high = Avx512F.Shuffle4x128(c, d, odd);
        Avx512F.Shuffle4x128(low, high, even).Store(to + 4 * width);
        Avx512F.Shuffle4x128(low, high, odd).Store(to + 12 * width);
    }
}
