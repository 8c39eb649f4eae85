using ILGPU;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class IlgpuBackend
{
    /// <summary>Up to so many parts a single thread joins in order; a group would mostly wait for itself.</summary>
    private const int FewItems = 16;

    /// <summary>
    /// Threads of a group that has one segment: four loads each bring 1,024 parts, and no load waits for another. Where segments are many, 64 do: with 256 weight gradients
    /// in more than 16 parts took 9 to 14 % longer on an H100.
    /// </summary>
    private const int MostJoiningThreads = 256;

    /// <summary>Groups that are enough to join parts in little more than the latency of their loads.</summary>
    private const int JoiningGroups = 256;

    /// <summary>
    /// An action like <see cref="Reduce"/>, for segments of one length whose neighbours' items adjoin in memory: the sums of columns, part by part. A thread for each
    /// segment where there are few items. Else a group has as many segments side by side, up to eight, as leave it one of <see cref="JoiningGroups"/>, because 32 bytes
    /// are the least that memory moves; what is left of its threads shares the items, line l taking items l, l + lines ..., and a tree adds the lines.
    /// </summary>
    public Action ReduceParts<TReduction, TValue, TArguments>(int segments, int items, TArguments arguments)
        where TReduction : struct, IGpuReduction<TValue, TArguments>
        where TValue : unmanaged
        where TArguments : struct
    {
        if (items <= FewItems) return For(segments, ReduceInOrder<TReduction, TValue, TArguments>, arguments);
        int shift = 0;
        while (shift < 3 && segments >> shift > JoiningGroups) shift++;
        int threads = shift == 0 && _device.MostThreads >= MostJoiningThreads ? MostJoiningThreads : ReductionThreads;
        return ForGroups(new Index3D((segments + (1 << shift) - 1) >> shift, 1, 1), new Index3D(threads, 1, 1),
            JoinParts<TReduction, TValue, TArguments>, new SegmentArguments<TArguments>(arguments, segments, shift));
    }

    internal readonly record struct SegmentArguments<TArguments>(TArguments Arguments, int Segments, int AcrossShift) where TArguments : struct;

    private static void JoinParts<TReduction, TValue, TArguments>(SegmentArguments<TArguments> a)
        where TReduction : struct, IGpuReduction<TValue, TArguments>
        where TValue : unmanaged
        where TArguments : struct
    {
        var totals = SharedMemory.Allocate<TValue>(MostJoiningThreads);
        int thread = Group.IdxX, across = 1 << a.AcrossShift, lines = Group.DimX >> a.AcrossShift, line = thread >> a.AcrossShift;
        int segment = (Grid.IdxX << a.AcrossShift) + (thread & (across - 1));
        totals[thread] = segment < a.Segments ? Combined<TReduction, TValue, TArguments>(a.Arguments, segment, line, lines) : TReduction.Nothing;
        Group.Barrier();
        for (int stride = Group.DimX >> 1; stride >= across; stride >>= 1)
        {
            if (thread < stride) totals[thread] = TReduction.Combine(totals[thread], totals[thread + stride]);
            Group.Barrier();
        }
        if (line == 0 && segment < a.Segments) TReduction.Store(a.Arguments, segment, totals[thread]);
    }

    private static void ReduceInOrder<TReduction, TValue, TArguments>(Index1D segment, TArguments a)
        where TReduction : struct, IGpuReduction<TValue, TArguments>
        where TValue : unmanaged
        where TArguments : struct =>
        TReduction.Store(a, segment, Combined<TReduction, TValue, TArguments>(a, segment, 0, 1));

    /// <summary>Every so many items of a segment, in their order; four are read at once.</summary>
    private static TValue Combined<TReduction, TValue, TArguments>(TArguments a, int segment, int item, int step)
        where TReduction : struct, IGpuReduction<TValue, TArguments>
        where TValue : unmanaged
        where TArguments : struct
    {
        int items = TReduction.Items(a, segment);
        TValue total = TReduction.Nothing;
        for (; item + 3 * step < items; item += 4 * step)
        {
            TValue x0 = TReduction.Load(a, segment, item), x1 = TReduction.Load(a, segment, item + step), x2 = TReduction.Load(a, segment, item + 2 * step), x3 = TReduction.Load(a, segment, item + 3 * step);
            total = TReduction.Combine(TReduction.Combine(TReduction.Combine(TReduction.Combine(total, x0), x1), x2), x3);
        }
        for (; item < items; item += step) total = TReduction.Combine(total, TReduction.Load(a, segment, item));
        return total;
    }
}
