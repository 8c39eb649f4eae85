using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class EmbeddingForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var a = new Arguments<T>(gpu.View<float>(tokens), gpu.Vectors<T>(table), gpu.Vectors<T>(y), Features);
        return (Features & 7) == 0 ? gpu.For(y.Length >> 3, Run<T, TStorage, Vector8>, a) : gpu.For(y.Length, Run<T, TStorage, Vector1>, a);
    }

    internal readonly record struct Arguments<T>(ArrayView<float> Tokens, ArrayView<T> Table, ArrayView<T> Y, int Features) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Features >> TVector.Shift, row = i / across, c = (i - row * across) * TVector.Width;
        TVector.Store<T, TStorage>(a.Y, row * a.Features + c, TVector.Load<T, TStorage>(a.Table, (int)a.Tokens[row] * a.Features + c));
    }
}

internal sealed partial class TokenOrder
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        int count = (int)tokens.Length, chunkCount = (count + Chunk - 1) / Chunk;
        var (token, chunked, ordered) = (gpu.View<float>(tokens), gpu.View<int>(chunks), gpu.View<int>(order));
        var rankLanes = RowLanes.Of(count, Math.Min(Chunk, count), Vector1.Width);
        Action rank = gpu.ForLanes(rankLanes, Rank, new RankArguments(token, chunkCount > 1 ? chunked : ordered, rankLanes));
        var mergeLanes = RowLanes.Of(count, chunkCount, Vector1.Width);
        Action? merge = chunkCount > 1 ? gpu.ForLanes(mergeLanes, Merge, new MergeArguments(token, chunked, ordered, mergeLanes)) : null;
        Action start = gpu.For(starts.Length, Start, new StartArguments(token, ordered, gpu.View<int>(starts), count));
        return () =>
        {
            rank();
            merge?.Invoke();
            start();
        };
    }

    internal readonly struct RankArguments(ArrayView<float> tokens, ArrayView<int> order, RowLanes lanes)
    {
        public readonly ArrayView<float> Tokens = tokens;
        public readonly ArrayView<int> Order = order;
        public readonly RowLanes Lanes = lanes;
    }

    /// <summary>A position's place in its chunk is the number of those that come before it there: up to 64 threads of each compare it with all others.</summary>
    private static void Rank(RankArguments a)
    {
        var shared = RowLanes.Share();
        int position = RowLanes.Row(a.Lanes), chunk = position - (position & (Chunk - 1)), end = chunk + RowLanes.End(a.Lanes);
        float token = 0f;
        if (position < a.Lanes.Rows) token = a.Tokens[position];
        if (end > a.Lanes.Rows) end = a.Lanes.Rows;
        int before = 0;
        for (int i = chunk + RowLanes.Lane(a.Lanes); i < end; i += a.Lanes.Lanes)
        {
            float other = a.Tokens[i];
            if (other < token) before++;
            else if (other == token && i < position) before++;
        }
        float place = RowLanes.Sum(a.Lanes, before, shared); // exact: a Single holds whole numbers up to 2^24
        if (position < a.Lanes.Rows && RowLanes.Lane(a.Lanes) == 0) a.Order[chunk + (int)place] = position;
    }

    internal readonly struct MergeArguments(ArrayView<float> tokens, ArrayView<int> chunks, ArrayView<int> order, RowLanes lanes)
    {
        public readonly ArrayView<float> Tokens = tokens;
        public readonly ArrayView<int> Chunks = chunks, Order = order;
        public readonly RowLanes Lanes = lanes;
    }

    /// <summary>A position's place is the number of those that come before it in each chunk, its own among them: up to 64 threads search as many chunks by halves.</summary>
    private static void Merge(MergeArguments a)
    {
        var shared = RowLanes.Share();
        int row = RowLanes.Row(a.Lanes), chunkCount = RowLanes.End(a.Lanes), position = 0, before = 0;
        if (row < a.Lanes.Rows) position = a.Chunks[row];
        float token = a.Tokens[position];
        for (int chunk = RowLanes.Lane(a.Lanes); chunk < chunkCount; chunk += a.Lanes.Lanes)
        {
            int first = chunk * Chunk, low = first, high = Math.Min(first + Chunk, a.Lanes.Rows);
            while (low < high)
            {
                int middle = (low + high) >> 1, other = a.Chunks[middle];
                float its = a.Tokens[other];
                bool comes = its < token;
                if (its == token) comes = other < position;
                if (comes) low = middle + 1;
                else high = middle;
            }
            before += low - first;
        }
        // Two sums, as a Single holds whole numbers up to 2^24 only.
        int place = (int)RowLanes.Sum(a.Lanes, before & 0xFFFF, shared);
        place += (int)RowLanes.Sum(a.Lanes, before >> 16, shared) << 16;
        if (row < a.Lanes.Rows && RowLanes.Lane(a.Lanes) == 0) a.Order[place] = position;
    }

    internal readonly record struct StartArguments(ArrayView<float> Tokens, ArrayView<int> Order, ArrayView<int> Starts, int Count);

    /// <summary>The first place whose token is not smaller.</summary>
    private static void Start(Index1D token, StartArguments a)
    {
        int low = 0, high = a.Count;
        while (low < high)
        {
            int middle = (low + high) >> 1;
            if (a.Tokens[a.Order[middle]] < token) low = middle + 1;
            else high = middle;
        }
        a.Starts[token] = low;
    }
}

internal sealed partial class EmbeddingGradient
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => (Features & 7) == 0 ? Bind<T, TStorage, Vector8>(gpu) : Bind<T, TStorage, Vector1>(gpu);

    private Action Bind<T, TStorage, TVector>(IlgpuBackend gpu) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var gradient = new Gradient<T>(gpu.View<int>(order), gpu.Vectors<T>(dy), Features);
        var (start, sums) = (gpu.View<int>(starts), gpu.Vectors<float>(runSums));
        int runs = (int)(order.Length >> RunShift), across = Features / TVector.Width;
        Action? sumRuns = runs == 0 ? null : gpu.For((long)runs * across, SumRuns<T, TStorage, TVector>, new RunArguments<T>(gpu.View<float>(tokens), start, gradient, sums));
        Action sumRows = gpu.For(dTable.Length / TVector.Width, SumRows<T, TStorage, TVector>, new RowArguments<T>(start, gradient, sums, gpu.Vectors<T>(dTable)));
        return () =>
        {
            sumRuns?.Invoke();
            sumRows();
        };
    }

    internal readonly record struct Gradient<T>(ArrayView<int> Order, ArrayView<T> Values, int Features) where T : unmanaged;

    internal readonly record struct RunArguments<T>(ArrayView<float> Tokens, ArrayView<int> Starts, Gradient<T> Gradient, ArrayView<float> Sums) where T : unmanaged;

    /// <summary>One thread for some elements of the run that begins within 64 positions of the order. It is one of the last of these positions' token: a run of another would reach beyond them.</summary>
    private static void SumRuns<T, TStorage, TVector>(Index1D index, RunArguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Gradient.Features >> TVector.Shift, window = index / across, c = (index - window * across) * TVector.Width, first = window << RunShift;
        int token = (int)a.Tokens[a.Gradient.Order[first + Run - 1]], start = a.Starts[token];
        int begin = start < first ? start + ((first - start + Run - 1) >> RunShift << RunShift) : start;
        if (token == 0 || begin + Run > a.Starts[token + 1]) return;
        TVector.Store<float, SingleStorage>(a.Sums, index * TVector.Width, SumOf<T, TStorage, TVector>(a.Gradient, begin, begin + Run, c, TVector.All(0f)));
    }

    internal readonly record struct RowArguments<T>(ArrayView<int> Starts, Gradient<T> Gradient, ArrayView<float> Sums, ArrayView<T> TableGradient) where T : unmanaged;

    /// <summary>One thread for some elements of a token's vector.</summary>
    private static void SumRows<T, TStorage, TVector>(Index1D index, RowArguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int features = a.Gradient.Features, across = features >> TVector.Shift, token = index / across, c = (index - token * across) * TVector.Width;
        int i = a.Starts[token], end = a.Starts[token + 1];
        if (token == 0) end = i;
        var sum = TVector.All(0f);
        for (; i + Run <= end; i += Run) sum += TVector.Load<float, SingleStorage>(a.Sums, (i >> RunShift) * features + c);
        TVector.Store<T, TStorage>(a.TableGradient, index * TVector.Width, SumOf<T, TStorage, TVector>(a.Gradient, i, end, c, sum));
    }

    /// <summary>Four positions are on their way at once: one after the other, each would wait for memory twice.</summary>
    private static TVector SumOf<T, TStorage, TVector>(Gradient<T> a, int i, int end, int c, TVector sum) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        for (; i + 4 <= end; i += 4)
        {
            int p0 = a.Order[i], p1 = a.Order[i + 1], p2 = a.Order[i + 2], p3 = a.Order[i + 3];
            TVector v0 = TVector.Load<T, TStorage>(a.Values, p0 * a.Features + c), v1 = TVector.Load<T, TStorage>(a.Values, p1 * a.Features + c);
            TVector v2 = TVector.Load<T, TStorage>(a.Values, p2 * a.Features + c), v3 = TVector.Load<T, TStorage>(a.Values, p3 * a.Features + c);
            sum = sum + v0 + v1 + v2 + v3;
        }
        for (; i < end; i++) sum += TVector.Load<T, TStorage>(a.Values, a.Order[i] * a.Features + c);
        return sum;
    }
}
