using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// exp(x - max) of some rows at once, sixteen columns in a vector: maxima and sums across lanes are taken of eight rows together,
/// and the exponentials are kept for what follows. The bits of a row do not depend on its neighbours.
/// </summary>
internal static unsafe class SoftmaxRows
{
    /// <summary>Rows at once, and no more.</summary>
    public const int Most = CpuVector.FoldWidth;

    /// <summary>Floats of the exponentials that are kept, on the stack: 64 KB. Those of longer rows are computed again.</summary>
    public const int Capacity = 16384;

    /// <summary>Columns of a kept row.</summary>
    public static int Pitch(int width) => (width + CpuVector.Width - 1) / CpuVector.Width * CpuVector.Width;

    /// <summary>Whether a row's exponentials are kept.</summary>
    public static bool Keeps(int width) => Pitch(width) <= Capacity;

    /// <summary>Rows at once: within 16 KB, which stay in L1.</summary>
    public static int AtOnce(int width) => Math.Clamp(Capacity / 4 / Pitch(width), 1, Most);

    /// <summary>exp(x - max) / sum exp(x - max) of the rows from first to end - 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
    public static void Softmax<T, TStorage>(T* from, T* to, long first, long end, int width)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        int atOnce = AtOnce(width), pitch = Pitch(width), whole = width / CpuVector.Width * CpuVector.Width;
        bool keeps = Keeps(width);
        T* last = to + end * width;
        float* kept = stackalloc float[Capacity], maxima = stackalloc float[Most], sums = stackalloc float[Most];
        for (long r = first; r < end; r += atOnce)
        {
            int count = (int)Math.Min(atOnce, end - r);
            Exponentials<T, TStorage>(from + r * width, count, width, kept, maxima, sums);
            (Vector256<float>.One / Vector256.Load(sums)).Store(sums);
            for (int i = 0; i < count; i++)
            {
                T* row = from + (r + i) * width, target = to + (r + i) * width;
                float* keep = kept + i * pitch;
                var share = Vector512.Create(sums[i]);
                for (int c = 0; c < whole; c += CpuVector.Width) TStorage.Store16(At<T, TStorage>(keeps, keep, row, c, maxima[i]) * share, target + c);
                if (whole < width) CpuVector.StoreOver<T, TStorage>(At<T, TStorage>(keeps, keep, row, whole, maxima[i]) * share, target + whole, width - whole, last);
            }
        }
    }

    /// <param name="count">Rows, up to <see cref="Most"/>.</param>
    /// <param name="kept">Rows of <see cref="Pitch"/> floats, 0 beyond the width; not touched where rows are too long to be kept.</param>
    /// <param name="maxima">Eight floats. Where a row has a NaN its maximum may be another number, but not its sum.</param>
    /// <param name="sums">Eight floats, each at least 1 or NaN.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
    public static void Exponentials<T, TStorage>(T* rows, int count, int width, float* kept, float* maxima, float* sums)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        int pitch = Pitch(width), whole = width / CpuVector.Width * CpuVector.Width;
        bool keeps = Keeps(width);
        var lanes = CpuVector.First(width - whole);
        float* folds = stackalloc float[Most * CpuVector.FoldWidth]; // of rows that are none it holds anything
        for (int r = 0; r < count; r++)
        {
            T* row = rows + (long)r * width;
            float* keep = kept + r * pitch;
            var max = Vector512.Create(float.NegativeInfinity);
            for (int c = 0; c < whole; c += CpuVector.Width)
            {
                var x = TStorage.Load16(row + c);
                if (keeps) x.Store(keep + c);
                max = Vector512.MaxNative(max, x);
            }
            if (whole < width)
            {
                var x = Vector512.ConditionalSelect(lanes, TStorage.Load16(row + whole), Vector512.Create(float.NegativeInfinity));
                if (keeps) x.Store(keep + whole);
                max = Vector512.MaxNative(max, x);
            }
            CpuVector.Halve<CpuVector.Largest>(max, folds + r * CpuVector.FoldWidth);
        }
        CpuVector.Fold<CpuVector.Largest>(folds).Store(maxima);
        for (int r = 0; r < count; r++)
        {
            T* row = rows + (long)r * width;
            float* keep = kept + r * pitch;
            Vector512<float> max = Vector512.Create(maxima[r]), sum = Vector512<float>.Zero;
            if (keeps)
            {
                // Beyond the width lies -infinity, or NaN where that is the maximum, and then all is NaN.
                for (int c = 0; c < pitch; c += CpuVector.Width)
                {
                    var exponential = CpuVector.Exp(Vector512.Load(keep + c) - max);
                    exponential.Store(keep + c);
                    sum += exponential;
                }
            }
            else
            {
                for (int c = 0; c < whole; c += CpuVector.Width) sum += CpuVector.Exp(TStorage.Load16(row + c) - max);
                if (whole < width) sum += CpuVector.Exp(TStorage.Load16(row + whole) - max) & lanes;
            }
            CpuVector.Halve<CpuVector.Total>(sum, folds + r * CpuVector.FoldWidth);
        }
        CpuVector.Fold<CpuVector.Total>(folds).Store(sums);
    }

    /// <summary>Sixteen exponentials of a row, kept or computed again; anything beyond the width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> At<T, TStorage>(bool keeps, float* kept, T* row, int c, float max)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T> => keeps ? Vector512.Load(kept + c) : CpuVector.Exp(TStorage.Load16(row + c) - Vector512.Create(max));
}
