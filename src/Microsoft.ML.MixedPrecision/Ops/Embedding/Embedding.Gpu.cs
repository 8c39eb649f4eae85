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
        int count = (int)tokens.Length;
        var lanes = RowLanes.Of(count, count, Vector1.Width);
        Action rank = gpu.ForLanes(lanes, Rank, new RankArguments(gpu.View<float>(tokens), gpu.View<int>(order), lanes));
        Action start = gpu.For(starts.Length, Start, new StartArguments(gpu.View<float>(tokens), gpu.View<int>(order), gpu.View<int>(starts), count));
        return () =>
        {
            rank();
            start();
        };
    }

    internal readonly struct RankArguments(ArrayView<float> tokens, ArrayView<int> order, RowLanes lanes)
    {
        public readonly ArrayView<float> Tokens = tokens;
        public readonly ArrayView<int> Order = order;
        public readonly RowLanes Lanes = lanes;
    }

    /// <summary>
    /// A position's place is the number of those that come before it: up to 64 threads of each compare it with all others. Quadratic, and without a pass over digits or a table of counts: 67 million
    /// comparisons of 8,192 positions are microseconds of a GPU.
    /// </summary>
    private static void Rank(RankArguments a)
    {
        var shared = RowLanes.Share();
        int position = RowLanes.Row(a.Lanes), end = RowLanes.End(a.Lanes);
        float token = 0f;
        if (position < a.Lanes.Rows) token = a.Tokens[position];
        int before = 0;
        for (int i = RowLanes.Lane(a.Lanes); i < end; i += a.Lanes.Lanes)
        {
            float other = a.Tokens[i];
            if (other < token) before++;
            else if (other == token && i < position) before++;
        }
        float place = RowLanes.Sum(a.Lanes, before, shared); // exact: a Single holds whole numbers up to 2^24
        if (position < a.Lanes.Rows && RowLanes.Lane(a.Lanes) == 0) a.Order[(int)place] = position;
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
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var a = new Arguments<T>(gpu.View<int>(order), gpu.View<int>(starts), gpu.Vectors<T>(dy), gpu.Vectors<T>(dTable), Features);
        return (Features & 7) == 0 ? gpu.For(dTable.Length >> 3, Run<T, TStorage, Vector8>, a) : gpu.For(dTable.Length, Run<T, TStorage, Vector1>, a);
    }

    internal readonly record struct Arguments<T>(ArrayView<int> Order, ArrayView<int> Starts, ArrayView<T> OutputGradient, ArrayView<T> TableGradient, int Features) where T : unmanaged;

    /// <summary>One thread for some elements of a token's vector. Four positions are on their way at once: one after the other, each would wait for memory twice.</summary>
    private static void Run<T, TStorage, TVector>(Index1D index, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Features >> TVector.Shift, token = index / across, c = (index - token * across) * TVector.Width;
        int i = a.Starts[token], end = a.Starts[token + 1];
        if (token == 0) end = i;
        var sum = TVector.All(0f);
        for (; i + 4 <= end; i += 4)
        {
            int p0 = a.Order[i], p1 = a.Order[i + 1], p2 = a.Order[i + 2], p3 = a.Order[i + 3];
            TVector v0 = TVector.Load<T, TStorage>(a.OutputGradient, p0 * a.Features + c), v1 = TVector.Load<T, TStorage>(a.OutputGradient, p1 * a.Features + c);
            TVector v2 = TVector.Load<T, TStorage>(a.OutputGradient, p2 * a.Features + c), v3 = TVector.Load<T, TStorage>(a.OutputGradient, p3 * a.Features + c);
            sum = sum + v0 + v1 + v2 + v3;
        }
        for (; i < end; i++) sum += TVector.Load<T, TStorage>(a.OutputGradient, a.Order[i] * a.Features + c);
        TVector.Store<T, TStorage>(a.TableGradient, index * TVector.Width, sum);
    }
}
