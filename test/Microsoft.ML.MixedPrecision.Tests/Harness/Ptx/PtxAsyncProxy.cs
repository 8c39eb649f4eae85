namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// How products of warp groups see shared memory. They read past the caches and buffers of the threads: what a thread wrote they see after
/// its fence.proxy.async and a barrier; and they read at any time between their issue and the wait for them.
/// </summary>
internal sealed class PtxAsyncProxy
{
    /// <summary>Bytes that a product reads at once.</summary>
    public const int Chunk = 16;

    private const int Threads = 32 * PtxWarpGroup.Warps;

    private readonly List<int>[] _fences; // of each thread, with the number of barriers before them
    private readonly List<int>[] _ends; // of each warp group's products, which end in their order, likewise
    private readonly int[] _begun; // products of each warp group
    private readonly int[] _reads; // the last product of each warp group that reads a chunk

    public PtxAsyncProxy(int threads, int bytes)
    {
        int groups = (threads + Threads - 1) / Threads;
        _fences = [.. Enumerable.Range(0, threads).Select(_ => new List<int>())];
        _ends = [.. Enumerable.Range(0, groups).Select(_ => new List<int>())];
        _begun = new int[groups];
        _reads = new int[(bytes + Chunk - 1) / Chunk * groups];
    }

    public void Clear()
    {
        foreach (var fences in _fences) fences.Clear();
        foreach (var ends in _ends) ends.Clear();
        Array.Clear(_begun);
        Array.Clear(_reads);
    }

    public void Fence(int thread, int epoch) => _fences[thread].Add(epoch);

    /// <summary>How many fences a thread has behind it: what it writes now needs one more.</summary>
    public int Fences(int thread) => _fences[thread].Count;

    /// <summary>Why a product does not see what a thread wrote after some fences; null where it does.</summary>
    public string? WhyHidden(int writer, int fences, int epoch) =>
        _fences[writer].Count <= fences ? $"what thread {writer} wrote, with no fence.proxy.async of that thread after it"
        : _fences[writer][fences] == epoch ? $"what thread {writer} wrote, with no barrier after its fence.proxy.async"
        : null;

    /// <summary>The number of a warp group's new product.</summary>
    public int Begin(int warpGroup) => ++_begun[warpGroup];

    public void Read(int place, int warpGroup, int product) => _reads[place / Chunk * _begun.Length + warpGroup] = product;

    public void End(int warpGroup, int epoch) => _ends[warpGroup].Add(epoch);

    /// <summary>Why a thread must not write to a chunk; null where it may.</summary>
    public string? WhyRead(int place, int thread, int epoch)
    {
        for (int g = 0; g < _begun.Length; g++)
        {
            int product = _reads[place / Chunk * _begun.Length + g];
            if (product == 0) continue;
            if (product > _ends[g].Count) return $"what a product of warp group {g} may still read; wait for it first";
            if (thread / Threads != g && _ends[g][product - 1] == epoch) return $"what a product of warp group {g} read, with no barrier after the wait for it";
        }
        return null;
    }
}
