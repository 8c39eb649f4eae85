namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// Four warps, of which Hopper's multiply together. A product is issued and goes on by itself: it is computed as late as it may be, when
/// the warps wait for the group of products to which it was committed.
/// </summary>
internal sealed class PtxWarpGroup(PtxGroup group, PtxWarp[] warps)
{
    /// <summary>Warps of a warp group.</summary>
    public const int Warps = 4;

    private readonly Queue<List<PtxProduct>> _committed = new();
    private List<PtxProduct> _open = [];

    private int Index => warps[0].Index / Warps;

    private PtxAccumulators Accumulators => warps[0].Accumulators!;

    public void Start()
    {
        _committed.Clear();
        _open = [];
        warps[0].Accumulators?.Clear();
    }

    /// <summary>Runs until every warp waits at a barrier of all, or has ended.</summary>
    public void Run()
    {
        while (true)
        {
            foreach (var warp in warps) warp.Run();
            if (Array.Find(warps, w => w.WaitsAt is { Flow: PtxFlow.WarpGroup }) is not { WaitsAt: { } instruction } first) return;
            if (warps.Length < Warps) throw new PtxFaultException($"divergent warp group: '{instruction.Name}' needs {Warps} warps, and warp group {Index} has {warps.Length}");
            if (Array.Find(warps, w => w.WaitsAt != instruction) is { } other)
                throw new PtxFaultException($"divergent warp group: warp {first.Index} waits at '{instruction.Name}', and warp {other.Index} {(other.WaitsAt is null ? "has ended" : $"waits at '{other.WaitsAt.Name}'")}");
            warps[0].Execute(instruction, uint.MaxValue);
            foreach (var warp in warps) warp.Pass();
        }
    }

    /// <summary>What the registers were used for before is over: wgmma.fence.</summary>
    public void Fence() => Accumulators.Fence();

    public void Begin(PtxProduct product)
    {
        Accumulators.Begin(product);
        int number = group.Shared.BeginProduct(Index);
        foreach (int place in product.Left.Chunks) group.Shared.BeginRead(place, Index, number);
        foreach (int place in product.Right.Chunks) group.Shared.BeginRead(place, Index, number);
        _open.Add(product);
    }

    public void Commit()
    {
        _committed.Enqueue(_open);
        _open = [];
    }

    /// <summary>Waits until at most so many of the committed groups of products are under way. What is not committed is not waited for.</summary>
    public void Wait(int groups)
    {
        while (_committed.Count > groups)
        {
            foreach (var product in _committed.Dequeue())
            {
                product.Compute(warps, group.Shared);
                group.Shared.EndProduct(Index);
                Accumulators.End(product);
            }
        }
    }

    /// <summary>A register's value, which must be the same in all threads of the warp group.</summary>
    public ulong Common(PtxOperand operand)
    {
        ulong value = warps[0][operand][0];
        foreach (var warp in warps)
        {
            if (warp[operand].ContainsAnyExcept(value)) throw new PtxFaultException($"'{operand.Text}' differs among the threads of warp group {Index}");
        }
        return value;
    }
}
