using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// How rows of a matrix are spread over groups of 64 threads: a row has a power of two of lanes, as many as it has vectors and 64
/// at most, and a group has as many rows as fit. Fixed by the shape, and so is the order of a sum.
/// </summary>
/// <remarks>In a kernel: every thread takes part in every sum, so a thread whose row lies beyond the last walks no columns, and meets the others there.</remarks>
internal readonly record struct RowLanes(int Rows, int Width, int Lanes, int LanesShift)
{
    private const int Threads = IlgpuBackend.ReductionThreads;

    public static RowLanes Of(int rows, int width, int vectorWidth)
    {
        int shift = 0;
        for (int vectors = width / vectorWidth; 1 << shift < vectors && 1 << shift < Threads;) shift++;
        return new(rows, width, 1 << shift, shift);
    }

    public int Groups => (Rows + (Threads >> LanesShift) - 1) / (Threads >> LanesShift);

    /// <summary>This thread's row; may lie beyond the last.</summary>
    public int Row => Grid.IdxX * (Threads >> LanesShift) + (Group.IdxX >> LanesShift);

    /// <summary>This thread among those of its row.</summary>
    public int Lane => Group.IdxX & (Lanes - 1);

    /// <summary>Where this thread stops walking its columns, from Lane * vector width on by Lanes * vector width.</summary>
    public int End => Row < Rows ? Width : 0;

    /// <summary>The sum over the lanes of a row, known to each of them.</summary>
    /// <param name="value">This lane's.</param>
    /// <param name="shared">64 floats of shared memory.</param>
    public float Sum(float value, ArrayView<float> shared)
    {
        int thread = Group.IdxX;
        shared[thread] = value;
        Group.Barrier();
        for (int stride = Lanes >> 1; stride > 0; stride >>= 1)
        {
            if ((thread & (Lanes - 1)) < stride) shared[thread] += shared[thread + stride];
            Group.Barrier();
        }
        float total = shared[thread - (thread & (Lanes - 1))];
        Group.Barrier();
        return total;
    }

    /// <summary>The largest of the lanes of a row, known to each of them; NaN wins.</summary>
    /// <inheritdoc cref="Sum"/>
    public float Max(float value, ArrayView<float> shared)
    {
        int thread = Group.IdxX;
        shared[thread] = value;
        Group.Barrier();
        for (int stride = Lanes >> 1; stride > 0; stride >>= 1)
        {
            if ((thread & (Lanes - 1)) < stride) shared[thread] = Larger(shared[thread], shared[thread + stride]);
            Group.Barrier();
        }
        float largest = shared[thread - (thread & (Lanes - 1))];
        Group.Barrier();
        return largest;
    }

    /// <summary>NaN wins, from either side.</summary>
    public static float Larger(float x, float y) => x >= y || float.IsNaN(x) ? x : y;
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
