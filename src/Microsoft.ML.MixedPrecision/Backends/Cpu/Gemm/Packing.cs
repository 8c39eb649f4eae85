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

    /// <summary>to[j * width + i] = from[i * stride + j] for 16x16: 64 shuffles for 256 elements; 0.3 cycles an element where a scalar loop takes about 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose16(float* from, int stride, float* to, int width)
    {
        if (!Avx512F.IsSupported)
        {
            for (int i = 0; i < 16; i++)
                for (int j = 0; j < 16; j++) to[j * width + i] = from[i * stride + j];
            return;
        }
        // Rows 4q..4q+3 by 4x4 within 128-bit lanes, then the lanes across the four groups.
        for (int q = 0; q < 4; q++)
        {
            float* f = from + 4 * q * stride;
            // Lane l of row r holds columns 4l..4l+3.
            var r0 = Vector512.Load(f);
            var r1 = Vector512.Load(f + stride);
            var r2 = Vector512.Load(f + 2 * stride);
            var r3 = Vector512.Load(f + 3 * stride);
            var a = Avx512F.UnpackLow(r0, r1).AsDouble();
            var b = Avx512F.UnpackLow(r2, r3).AsDouble();
            var c = Avx512F.UnpackHigh(r0, r1).AsDouble();
            var d = Avx512F.UnpackHigh(r2, r3).AsDouble();
            Spread(Avx512F.UnpackLow(a, b).AsSingle(), to + 4 * q, width);
            Spread(Avx512F.UnpackHigh(a, b).AsSingle(), to + 4 * q + width, width);
            Spread(Avx512F.UnpackLow(c, d).AsSingle(), to + 4 * q + 2 * width, width);
            Spread(Avx512F.UnpackHigh(c, d).AsSingle(), to + 4 * q + 3 * width, width);
        }
    }

    /// <summary>Lane l of v goes to column 4l of the source, which is row 4l of the target. Stores extract for free.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Spread(Vector512<float> v, float* to, int width)
    {
        Avx512F.ExtractVector128(v, 0).Store(to);
        Avx512F.ExtractVector128(v, 1).Store(to + 4 * width);
        Avx512F.ExtractVector128(v, 2).Store(to + 8 * width);
        Avx512F.ExtractVector128(v, 3).Store(to + 12 * width);
    }
}
