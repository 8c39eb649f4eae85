using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Algorithms;
using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

// As SoftmaxForward, with what is not seen at -infinity.

internal sealed partial class MaskedSoftmax
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => IlgpuBackend.ForRows((int)(scores.Length / Length), Length, new RowKernel<T, TStorage>(gpu, this));

    private sealed class RowKernel<T, TStorage>(IlgpuBackend gpu, MaskedSoftmax kernel) : IGpuRowKernel where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TVector>(RowLanes lanes) where TVector : unmanaged, IGpuVector<TVector> => gpu.ForLanes(lanes, Run<T, TStorage, TVector>, kernel.ArgumentsOf<T>(gpu, lanes));
    }

    private Arguments<T> ArgumentsOf<T>(IlgpuBackend gpu, RowLanes lanes) where T : unmanaged =>
        new(gpu.Vectors<T>(scores), gpu.Vectors<T>(weights), lanes, new(tokens is null ? default : gpu.Vectors<float>(tokens), Length * heads, masked: tokens is not null, causal));

    internal readonly struct Arguments<T>(ArrayView<T> scores, ArrayView<T> weights, RowLanes lanes, Mask mask) where T : unmanaged
    {
        public readonly ArrayView<T> Scores = scores, Weights = weights;
        public readonly RowLanes Lanes = lanes;
        public readonly Mask Mask = mask;
    }

    private static void Run<T, TStorage, TVector>(Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var shared = RowLanes.Share();
        var at = RowColumns.Of<TVector>(a.Lanes);
        var seen = Sight.Of(a.Mask, a.Lanes);
        var head = Mask.Apply(a.Mask, seen, at, RowHead<TVector>.Load<T, TStorage>(a.Scores, at.Start, at));
        float max = RowHead<TVector>.Max(head);
        for (int c = at.Rest; c < at.End; c += at.Step) max = XMath.Max(max, TVector.Max(Mask.Load<T, TStorage, TVector>(a, seen, at, c)));
        max = RowLanes.Max(a.Lanes, max, shared);
        // 0 where a key is seen, -infinity where none is, which only tokens can bring about. The maximum does not tell: scores that overflowed must show.
        float sight = 0f;
        if (a.Mask.Masked != 0)
        {
            sight = RowHead<TVector>.Max(Mask.Apply(a.Mask, seen, at, RowHead<TVector>.All(0f)));
            for (int c = at.Rest; c < at.End; c += at.Step) sight = XMath.Max(sight, TVector.Max(Mask.Apply(a.Mask, seen, c, TVector.All(0f))));
            sight = RowLanes.Max(a.Lanes, sight, shared);
        }
        bool blind = sight < 0f;
        var exponential = new ExponentialOf(Utilities.Select(blind, 0f, max)); // of -infinity less 0 too it is 0
        head = RowHead<TVector>.Map(exponential, head);
        float sum = RowHead<TVector>.Sum(head, at);
        for (int c = at.Rest; c < at.End; c += at.Step) sum += TVector.Sum(exponential.Of(Mask.Load<T, TStorage, TVector>(a, seen, at, c)));
        sum = RowLanes.Sum(a.Lanes, sum, shared);
        float share = Utilities.Select(blind, 0f, 1f / sum);
        RowHead<TVector>.Store<T, TStorage>(a.Weights, at, head * share);
        for (int c = at.Rest; c < at.End; c += at.Step) TVector.Store<T, TStorage>(a.Weights, at.Start + c, exponential.Of(Mask.Load<T, TStorage, TVector>(a, seen, at, c)) * share);
    }

    /// <summary>Where a row's tokens begin, and which keys its query may see: those before the end.</summary>
    internal readonly struct Sight(int tokens, int end)
    {
        public readonly int Tokens = tokens, End = end;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Sight Of(Mask mask, RowLanes lanes)
        {
            int row = Math.Min(RowLanes.Row(lanes), lanes.Rows - 1), length = lanes.Width;
            return new(row / mask.RowsOfExample * length, row - row / length * length + 1);
        }
    }

    internal readonly struct Mask(ArrayView<float> tokens, int rowsOfExample, bool masked, bool causal)
    {
        private readonly ArrayView<float> _tokens = tokens;
        private readonly int _causal = causal ? 1 : 0; // no Boolean crosses to a GPU
        public readonly int RowsOfExample = rowsOfExample, Masked = masked ? 1 : 0;

        /// <summary>A lane's first scores, all tokens read at once.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static RowHead<TVector> Apply<TVector>(Mask mask, Sight seen, RowColumns at, RowHead<TVector> scores) where TVector : unmanaged, IGpuVector<TVector>
        {
            if (mask.Masked != 0) scores = RowHead<TVector>.Map(new WhereToken(), scores, RowHead<TVector>.Load<float, SingleStorage>(mask._tokens, seen.Tokens, at));
            if (mask._causal != 0) scores = RowHead<TVector>.Map(new WhereBefore(seen.End), scores, RowHead<TVector>.Columns(at));
            return scores;
        }

        /// <summary>Scores of keys from c on, behind those.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Apply<TVector>(Mask mask, Sight seen, int c, TVector scores) where TVector : unmanaged, IGpuVector<TVector>
        {
            if (mask.Masked != 0) scores = TVector.Map(new WhereToken(), scores, TVector.Load<float, SingleStorage>(mask._tokens, seen.Tokens + c));
            if (mask._causal != 0) scores = TVector.Map(new WhereBefore(seen.End), scores, TVector.From(c));
            return scores;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Load<T, TStorage, TVector>(Arguments<T> a, Sight seen, RowColumns at, int c) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> =>
            Apply(a.Mask, seen, c, TVector.Load<T, TStorage>(a.Scores, at.Start + c));
    }

    private readonly struct WhereToken : IGpuFunction
    {
        public float Apply(float x, float y) => y == 0f ? float.NegativeInfinity : x;
    }

    private readonly record struct WhereBefore(float End) : IGpuFunction
    {
        public float Apply(float x, float y) => y < End ? x : float.NegativeInfinity;
    }
}
