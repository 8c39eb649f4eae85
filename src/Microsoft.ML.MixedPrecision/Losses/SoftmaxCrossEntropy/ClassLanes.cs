using System.Runtime.CompilerServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Sixteen rows of few classes, turned: sixteen floats for each class, a row in each lane. Row by row, two classes fill two of
/// sixteen lanes, and a row's sums across lanes take longer than all else: 50 ns, against 5.
/// </summary>
internal static unsafe class ClassLanes
{
    private const int Width = CpuVector.Width;

    /// <summary>More fill vectors by themselves.</summary>
    public const int MostClasses = 16;

    /// <summary>Floats of a turned block.</summary>
    public const int Floats = MostClasses * Width;

    /// <summary>The lanes behind the last row are 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
    public static void Read<T, TStorage>(T* rows, int count, int classes, float* columns)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        float* flat = stackalloc float[Floats];
        TStorage.LoadWide(rows, flat, count * classes);
        if (count < Width) new Span<float>(columns, classes * Width).Clear();
        for (int row = 0; row < count; row++)
            for (int c = 0; c < classes; c++) columns[c * Width + row] = *flat++;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
    public static void Write<T, TStorage>(float* columns, int count, int classes, T* rows)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        float* flat = stackalloc float[Floats], next = flat;
        for (int row = 0; row < count; row++)
            for (int c = 0; c < classes; c++) *next++ = columns[c * Width + row];
        TStorage.Store(flat, rows, count * classes);
    }
}
