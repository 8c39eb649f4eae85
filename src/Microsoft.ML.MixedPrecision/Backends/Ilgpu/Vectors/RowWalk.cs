using System.Runtime.CompilerServices;
using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Four rows of a matrix for a thread that keeps what it knows of its columns, such as a mean and a weight, in registers: a quarter of the rows apart, so that neighbouring
/// threads read neighbouring bytes, of narrow matrices too. Which rows they are changes no bit.
/// </summary>
internal readonly struct RowWalk(int rows, int columns, int apart, Divisor across)
{
    public readonly int Rows = rows, Columns = columns, Apart = apart;
    private readonly Divisor _across = across;

    public static RowWalk Of(int rows, int columns, int vectorWidth) => new(rows, columns, (rows + 3) >> 2, new(columns / vectorWidth));

    public long Threads => (long)Apart * _across.Value;

    /// <summary>A thread's first row, and its first column.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (int Row, int Column) Of<TVector>(RowWalk walk, int thread) where TVector : unmanaged, IGpuVector<TVector>
    {
        int row = Divisor.Quotient(thread, walk._across), across = walk.Columns >> TVector.Shift;
        return (row, (thread - row * across) * TVector.Width);
    }

    /// <summary>A thread's vectors of its four rows, all read at once: 64 bytes under way. Of a row beyond the last, those of the last.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowHead<TVector> Load<T, TStorage, TVector>(ArrayView<T> from, RowWalk walk, int row, int column)
        where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> => new(
        TVector.Load<T, TStorage>(from, row * walk.Columns + column),
        TVector.Load<T, TStorage>(from, Math.Min(row + walk.Apart, walk.Rows - 1) * walk.Columns + column),
        TVector.Load<T, TStorage>(from, Math.Min(row + walk.Apart * 2, walk.Rows - 1) * walk.Columns + column),
        TVector.Load<T, TStorage>(from, Math.Min(row + walk.Apart * 3, walk.Rows - 1) * walk.Columns + column));
}
