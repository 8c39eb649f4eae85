using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Algorithms;
using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

/// <summary>A lane's columns of its row: from First on by Step, below End; Start is the place of the row's first element, or 0 for what all rows share, such as weights.</summary>
internal readonly struct RowColumns(int start, int first, int step, int end, int last)
{
    public readonly int Start = start, First = first, Step = step, End = end;

    /// <summary>The last column where a vector may begin: what lies beyond the end is read there instead, so that a load waits for no branch.</summary>
    public readonly int Last = last;

    /// <summary>The first column that <see cref="RowHead{TVector}"/> does not hold; beyond the end of all rows but the longest.</summary>
    public readonly int Rest = first + (step << 2);

    /// <summary>The columns of this thread. A row beyond the last reads that one, and has no columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowColumns Of<TVector>(RowLanes lanes) where TVector : unmanaged, IGpuVector<TVector> => new(
        Math.Min(RowLanes.Row(lanes), lanes.Rows - 1) * lanes.Width, RowLanes.Lane(lanes) * TVector.Width, lanes.Lanes * TVector.Width, RowLanes.End(lanes), lanes.Width - TVector.Width);

    /// <summary>The same with another end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowColumns Until(RowColumns at, int end) => new(at.Start, at.First, at.Step, end, at.Last);
}

/// <summary>
/// The first four vectors of a lane, in registers: a row of up to 2,048 halves is read from memory once, however often it is walked, and with 64 bytes to a thread
/// under way. Written out, because ILGPU unrolls no loops and keeps arrays on the stack.
/// </summary>
internal readonly struct RowHead<TVector>(TVector v0, TVector v1, TVector v2, TVector v3) where TVector : unmanaged, IGpuVector<TVector>
{
    public readonly TVector V0 = v0, V1 = v1, V2 = v2, V3 = v3;

    /// <param name="start">Of the row, or 0 for what all rows share.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowHead<TVector> Load<T, TStorage>(ArrayView<T> from, int start, RowColumns at) where T : unmanaged where TStorage : struct, IStorage<T> => new(
        TVector.Load<T, TStorage>(from, start + Math.Min(at.First, at.Last)),
        TVector.Load<T, TStorage>(from, start + Math.Min(at.First + at.Step, at.Last)),
        TVector.Load<T, TStorage>(from, start + Math.Min(at.First + at.Step * 2, at.Last)),
        TVector.Load<T, TStorage>(from, start + Math.Min(at.First + at.Step * 3, at.Last)));

    /// <summary>Stores what lies before the end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T, TStorage>(ArrayView<T> to, RowColumns at, RowHead<TVector> values) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int c = at.First;
        if (c < at.End) TVector.Store<T, TStorage>(to, at.Start + c, values.V0);
        c += at.Step;
        if (c < at.End) TVector.Store<T, TStorage>(to, at.Start + c, values.V1);
        c += at.Step;
        if (c < at.End) TVector.Store<T, TStorage>(to, at.Start + c, values.V2);
        c += at.Step;
        if (c < at.End) TVector.Store<T, TStorage>(to, at.Start + c, values.V3);
    }

    /// <summary>The sum of what lies before the end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(RowHead<TVector> values, RowColumns at) =>
        (Utilities.Select(at.First < at.End, TVector.Sum(values.V0), 0f) + Utilities.Select(at.First + at.Step < at.End, TVector.Sum(values.V1), 0f)) +
        (Utilities.Select(at.First + at.Step * 2 < at.End, TVector.Sum(values.V2), 0f) + Utilities.Select(at.First + at.Step * 3 < at.End, TVector.Sum(values.V3), 0f));

    /// <summary>One value in every place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowHead<TVector> All(float value) => new(TVector.All(value), TVector.All(value), TVector.All(value), TVector.All(value));

    /// <summary>The columns of what <see cref="Load"/> reads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowHead<TVector> Columns(RowColumns at) => new(
        TVector.From(Math.Min(at.First, at.Last)), TVector.From(Math.Min(at.First + at.Step, at.Last)), TVector.From(Math.Min(at.First + at.Step * 2, at.Last)), TVector.From(Math.Min(at.First + at.Step * 3, at.Last)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowHead<TVector> Map<TFunction>(TFunction function, RowHead<TVector> x) where TFunction : struct, IGpuFunction => Map(function, x, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowHead<TVector> Map<TFunction>(TFunction function, RowHead<TVector> x, RowHead<TVector> y) where TFunction : struct, IGpuFunction => new(
        TVector.Map(function, x.V0, y.V0), TVector.Map(function, x.V1, y.V1), TVector.Map(function, x.V2, y.V2), TVector.Map(function, x.V3, y.V3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowHead<TVector> operator +(RowHead<TVector> x, RowHead<TVector> y) => new(x.V0 + y.V0, x.V1 + y.V1, x.V2 + y.V2, x.V3 + y.V3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowHead<TVector> operator -(RowHead<TVector> x, TVector y) => new(x.V0 - y, x.V1 - y, x.V2 - y, x.V3 - y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowHead<TVector> operator -(RowHead<TVector> x, RowHead<TVector> y) => new(x.V0 - y.V0, x.V1 - y.V1, x.V2 - y.V2, x.V3 - y.V3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowHead<TVector> operator *(RowHead<TVector> x, RowHead<TVector> y) => new(x.V0 * y.V0, x.V1 * y.V1, x.V2 * y.V2, x.V3 * y.V3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RowHead<TVector> operator *(RowHead<TVector> x, float y) => new(x.V0 * y, x.V1 * y, x.V2 * y, x.V3 * y);

    /// <summary>The largest of all, also of what is read twice.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(RowHead<TVector> x) => XMath.Max(XMath.Max(TVector.Max(x.V0), TVector.Max(x.V1)), XMath.Max(TVector.Max(x.V2), TVector.Max(x.V3)));
}
