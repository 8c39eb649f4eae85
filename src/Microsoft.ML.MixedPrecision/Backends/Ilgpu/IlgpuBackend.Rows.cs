using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Algorithms;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// How rows of a matrix are spread over groups of 64 threads: a row has a power of two of lanes, and a group has as many rows as fit. A lane has up to four vectors, which it
/// reads all at once and keeps (<see cref="RowHead{TVector}"/>): what is under way hides the memory's latency. Fewer than four where that leaves less than eight lanes, 128
/// bytes side by side, and more where 64 lanes are not enough. Fixed by the shape, and so is the order of a sum.
/// </summary>
/// <remarks>
/// Fields, and methods that take it by value: what kernels have a few calls deep should have no address.
/// In a kernel every thread takes part in every sum, so a thread whose row lies beyond the last walks no columns, and meets the others there.
/// </remarks>
internal readonly struct RowLanes(int rows, int width, int lanes, int lanesShift)
{
    public readonly int Rows = rows, Width = width, Lanes = lanes, LanesShift = lanesShift;

    private const int Threads = IlgpuBackend.ReductionThreads, Adjoining = 8;

    public static RowLanes Of(int rows, int width, int vectorWidth)
    {
        int shift = 0;
        for (int vectors = width / vectorWidth; 1 << shift < (1 << shift < Adjoining ? vectors : (vectors + 3) >> 2) && 1 << shift < Threads;) shift++;
        return new(rows, width, 1 << shift, shift);
    }

    public int Groups => (Rows + (Threads >> LanesShift) - 1) / (Threads >> LanesShift);

    /// <summary>This thread's row; may lie beyond the last.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Row(RowLanes lanes) => Grid.IdxX * (Threads >> lanes.LanesShift) + (Group.IdxX >> lanes.LanesShift);

    /// <summary>This thread among those of its row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Lane(RowLanes lanes) => Group.IdxX & (lanes.Lanes - 1);

    /// <summary>Where this thread stops walking its columns, from Lane * vector width on by Lanes * vector width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int End(RowLanes lanes) => Row(lanes) < lanes.Rows ? lanes.Width : 0;

    /// <summary>Shared memory for <see cref="Sum"/> and <see cref="Max"/>, of all that a kernel takes of one row after the other: a float for each thread, and one for eight.</summary>
    public static ArrayView<float> Share() => SharedMemory.Allocate<Quad>((Threads + (Threads >> 3)) >> 2).Cast<float>();

    /// <summary>
    /// The sum over the lanes of a row, known to each of them. A tree: of eight neighbours, then of two, four or eight such sums. Two barriers, where a level for each would
    /// have six; and no shuffles, which OpenCL need not have.
    /// </summary>
    /// <param name="value">This lane's.</param>
    /// <param name="shared">From <see cref="Share"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(RowLanes lanes, float value, ArrayView<float> shared) => Combine<Addition>(lanes.Lanes, value, shared);

    /// <summary>The largest of the lanes of a row, known to each of them; of NaN and a number the one or the other.</summary>
    /// <inheritdoc cref="Sum"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(RowLanes lanes, float value, ArrayView<float> shared) => Combine<Largest>(lanes.Lanes, value, shared);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Combine<TCombination>(int lanes, float value, ArrayView<float> shared) where TCombination : struct, ICombination
    {
        int thread = Group.IdxX, first = thread - (thread & (lanes - 1));
        shared[thread] = value;
        Group.Barrier();
        if (lanes < Adjoining)
        {
            float few = shared[first];
            for (int lane = 1; lane < lanes; lane++) few = TCombination.Of(few, shared[first + lane]);
            Group.Barrier();
            return few;
        }
        int eights = thread & ~7;
        float eight = TCombination.Of(OfFour<TCombination>(shared, eights), OfFour<TCombination>(shared, eights + 4));
        if (lanes > Adjoining && thread == eights) shared[Threads + (thread >> 3)] = eight;
        Group.Barrier();
        if (lanes == Adjoining) return eight;
        // The next sum writes to these only after a barrier of its own.
        int sums = Threads + (first >> 3);
        if (lanes == 2 * Adjoining) return TCombination.Of(shared[sums], shared[sums + 1]);
        float four = OfFour<TCombination>(shared, sums);
        return lanes == Threads ? TCombination.Of(four, OfFour<TCombination>(shared, sums + 4)) : four;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float OfFour<TCombination>(ArrayView<float> shared, int place) where TCombination : struct, ICombination
    {
        var four = shared.Cast<Quad>()[place >> 2];
        return TCombination.Of(TCombination.Of(four.A, four.B), TCombination.Of(four.C, four.D));
    }

    /// <summary>Of two values, in any order.</summary>
    private interface ICombination
    {
        static abstract float Of(float x, float y);
    }

    private readonly struct Addition : ICombination
    {
        public static float Of(float x, float y) => x + y;
    }

    private readonly struct Largest : ICombination
    {
        public static float Of(float x, float y) => XMath.Max(x, y);
    }
}

/// <summary>A kernel of rows that waits for the width of its vectors.</summary>
internal interface IGpuRowKernel
{
    Action With<TVector>(RowLanes lanes) where TVector : unmanaged, IGpuVector<TVector>;
}

internal sealed unsafe partial class IlgpuBackend
{
    /// <summary>An action that runs a kernel with some lanes for each row: eight columns at a time where the width is a multiple of eight.</summary>
    public static Action ForRows(int rows, int width, IGpuRowKernel kernel) => (width & 7) == 0
        ? kernel.With<Vector8>(RowLanes.Of(rows, width, Vector8.Width))
        : kernel.With<Vector1>(RowLanes.Of(rows, width, Vector1.Width));

    /// <summary>A launch for <see cref="ForRows"/>: groups of 64 threads.</summary>
    public Action ForLanes<TArguments>(RowLanes lanes, Action<TArguments> kernel, TArguments arguments) where TArguments : struct =>
        ForGroups(new Index3D(lanes.Groups, 1, 1), new Index3D(ReductionThreads, 1, 1), kernel, arguments);
}
