using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// What <see cref="IlgpuBackend.Reduce"/> computes: for each segment, the combination of its items. An empty struct, so that
/// the kernel is compiled for it.
/// </summary>
/// <typeparam name="TValue">What is combined: a float, or a struct of a few scalars (sum and sum of squares; a maximum and its place).</typeparam>
/// <typeparam name="TArguments">Views and scalars, as a kernel has them.</typeparam>
internal interface IGpuReduction<TValue, TArguments> where TValue : unmanaged where TArguments : struct
{
    /// <summary>Combined with anything gives that.</summary>
    static abstract TValue Nothing { get; }

    /// <summary>Items of a segment; may differ from one to the next.</summary>
    static abstract int Items(TArguments a, int segment);

    /// <summary>One item as a value. Neighbouring threads ask for neighbouring items.</summary>
    static abstract TValue Load(TArguments a, int segment, int item);

    static abstract TValue Combine(TValue x, TValue y);

    /// <summary>Called once for each segment, by one thread.</summary>
    static abstract void Store(TArguments a, int segment, TValue total);
}

internal sealed unsafe partial class IlgpuBackend
{
    /// <summary>Threads that reduce one segment. Every device allows as many, so that the order is the same on all.</summary>
    public const int ReductionThreads = 64;

    /// <summary>
    /// An action that reduces each of some segments with a group of 64 threads, in an order that depends on nothing but the
    /// number of items: thread t combines items t, t + 64, t + 128 ... one after the other, then a tree combines the threads,
    /// t with t + 32, t + 16 ... t + 1. Few long segments leave a GPU idle: cut them into parts of some thousand items as the
    /// segments of a first reduction, and reduce the parts' totals in a second.
    /// </summary>
    public Action Reduce<TReduction, TValue, TArguments>(int segments, TArguments arguments)
        where TReduction : struct, IGpuReduction<TValue, TArguments>
        where TValue : unmanaged
        where TArguments : struct =>
        ForGroups(new Index3D(segments, 1, 1), new Index3D(ReductionThreads, 1, 1), ReduceSegment<TReduction, TValue, TArguments>, arguments);

    private static void ReduceSegment<TReduction, TValue, TArguments>(TArguments a)
        where TReduction : struct, IGpuReduction<TValue, TArguments>
        where TValue : unmanaged
        where TArguments : struct
    {
        var totals = SharedMemory.Allocate<TValue>(ReductionThreads);
        int segment = Grid.IdxX, thread = Group.IdxX, items = TReduction.Items(a, segment);
        TValue total = TReduction.Nothing;
        for (int item = thread; item < items; item += ReductionThreads) total = TReduction.Combine(total, TReduction.Load(a, segment, item));
        totals[thread] = total;
        Group.Barrier();
        for (int stride = ReductionThreads >> 1; stride > 0; stride >>= 1)
        {
            if (thread < stride) totals[thread] = TReduction.Combine(totals[thread], totals[thread + stride]);
            Group.Barrier();
        }
        if (thread == 0) TReduction.Store(a, segment, totals[0]);
    }
}
