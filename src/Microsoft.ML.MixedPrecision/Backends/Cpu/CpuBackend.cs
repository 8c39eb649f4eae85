using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// SIMD on the machine's own cores. Steps run at once, on the calling thread and the pool's workers, so there is
/// nothing to wait for. A run's bits do not depend on the number of threads.
/// </summary>
internal sealed unsafe partial class CpuBackend : Backend
{
    /// <summary>Elements of a pointwise kernel that make one more thread worth its hand-off (0.3 us): about 4 us of work.</summary>
    public const int ElementGrain = 16384;

    private readonly Dictionary<Region, nint> _arenas = [];
    private readonly List<GCHandle> _handles = [];
    private long _scratchFloats;

    /// <param name="precision">The working storage.</param>
    /// <param name="threads">Threads to use, the caller's included; 0 for one per core.</param>
    public CpuBackend(Precision precision, int threads = 0) : base(precision) =>
        Threads = threads == 0 ? Environment.ProcessorCount : threads;

    public int Threads { get; }

    public override string Device =>
        $"CPU, {Threads} thread{(Threads == 1 ? "" : "s")}, {(Vector512.IsHardwareAccelerated ? "512" : Vector256.IsHardwareAccelerated ? "256" : "128")}-bit vectors";

    public override void Allocate(IReadOnlyDictionary<Region, long> bytes)
    {
        foreach (var (region, size) in bytes)
        {
            // 256-byte alignment as the planner assumes; 64 bytes more, so that a last vector may read past the end.
            _arenas.Add(region, (nint)CpuMemory.Allocate(checked((nuint)size + 64), 256));
        }
    }

    public override void Free(Region region)
    {
        if (_arenas.Remove(region, out nint arena)) CpuMemory.Free((void*)arena);
    }

    /// <summary>The first element of a tensor. Valid until the backend is disposed.</summary>
    public T* Pointer<T>(Tensor tensor) where T : unmanaged
    {
        if (sizeof(T) != SizeOf(tensor.Element))
            throw new ArgumentException($"{tensor} has {SizeOf(tensor.Element)}-byte elements, and {typeof(T).Name} has {sizeof(T)}.");
        return (T*)(_arenas[tensor.Region] + tensor.ArenaOffset) + tensor.Start;
    }

    /// <summary>
    /// Binds a product, and what follows each of its elements, to code of its own. Of several, dense ones that are enough for all threads are shared out among them; others run
    /// one after the other, each on all threads.
    /// </summary>
    public Action Gemm<T, TStorage>(MatrixProduct product)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        if (product.Count > 1 && !SharedOut(product))
        {
            Action[] each = [.. Enumerable.Range(0, product.Count).Select(i => Gemm<T, TStorage>(product.At(i)))];
            return () =>
            {
                foreach (var one in each) one();
            };
        }
        var user = new ProductBinder<T, TStorage>(this, product);
        return product.Next is null ? user.With(new Unchanged()) : product.Next.Give<T, TStorage>(this, user);
    }

    /// <summary>Whether each of several products runs on one thread: by a shape's own order of sums, as always.</summary>
    private bool SharedOut(MatrixProduct product) =>
        product is { A: DenseOperand, B: DenseOperand } && product.Count >= Threads && MixedPrecision.Gemm.Parts(product.M, product.N, product.K) == 1;

    /// <summary>Sums that a product takes of its rows as it stores them, kept until the backend is disposed.</summary>
    public StoredRows Awaiting(Action<long, long> sumParts, long rows)
    {
        var handle = GCHandle.Alloc(sumParts);
        _handles.Add(handle);
        return new(handle, rows);
    }

    /// <summary>What a reader does once the parts of its rows are summed: by the product that stores them, or before it.</summary>
    public Action AfterParts<T, TStorage>(ColumnReader reader, Action join)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        if (reader.Producer is not null) return join;
        var sum = For(ChannelParts.Count(reader.From), grain: 1, reader.SumParts<T, TStorage>(this));
        return () =>
        {
            sum();
            join();
        };
    }

    public override Action Bind(Kernel kernel) => Precision == Precision.Mixed
        ? kernel.BindCpu<Half, CpuHalfStorage>(this)
        : kernel.BindCpu<float, CpuSingleStorage>(this);

    /// <summary>
    /// An action that runs <paramref name="body"/> over [0, count) in parts whose borders are multiples of
    /// <paramref name="grain"/>, on as many threads as pay. Where a border lies may depend on the threads: what must be the
    /// same for any number of them (a reduction) makes its parts itself and passes them as the items, grain 1.
    /// </summary>
    /// <param name="body">Called with the first item and the one after the last.</param>
    public Action For(long count, long grain, Action<long, long> body)
    {
        long blocks = (count + grain - 1) / grain;
        int parts = (int)Math.Min(blocks, Threads);
        if (parts <= 1) return () => body(0, count);
        long each = (blocks + parts - 1) / parts * grain;
        Action<int> part = i => { if (i * each < count) body(i * each, Math.Min(count, (i + 1) * each)); };
        return () => WorkerPool.Shared.Run(parts, part);
    }

    public override void Upload(Tensor tensor, ReadOnlySpan<float> values)
    {
        Expect(tensor, values.Length);
        fixed (float* from = values)
        {
            if (tensor.Element == ElementType.Working && Precision == Precision.Mixed) CpuHalfStorage.Store(from, Pointer<Half>(tensor), values.Length);
            else CpuSingleStorage.Store(from, Pointer<float>(tensor), values.Length);
        }
    }

    public override void Upload(Tensor tensor, ReadOnlySpan<int> values)
    {
        Expect(tensor, values.Length);
        values.CopyTo(new Span<int>(Pointer<int>(tensor), values.Length));
    }

    public override void Download(Tensor tensor, Span<float> values)
    {
        Expect(tensor, values.Length);
        fixed (float* to = values)
        {
            if (tensor.Element == ElementType.Working && Precision == Precision.Mixed) CpuHalfStorage.Load(Pointer<Half>(tensor), to, values.Length);
            else CpuSingleStorage.Load(Pointer<float>(tensor), to, values.Length);
        }
    }

    public override void Download(Tensor tensor, Span<int> values)
    {
        Expect(tensor, values.Length);
        new Span<int>(Pointer<int>(tensor), values.Length).CopyTo(values);
    }

    public override void Synchronize() { } // steps run when called

    public override void Dispose()
    {
        foreach (nint arena in _arenas.Values) CpuMemory.Free((void*)arena);
        _arenas.Clear();
        foreach (var handle in _handles) handle.Free();
        _handles.Clear();
        NativeMemory.AlignedFree(Scratch);
        Scratch = null;
        _scratchFloats = 0;
    }

    /// <summary>FP32 scratch for a step, as much as the greediest reserved; what is in it lives as long as the step runs. To be read when it runs: it moves as it grows.</summary>
    public float* Scratch { get; private set; }

    /// <summary>Makes room in <see cref="Scratch"/>, when a step is bound.</summary>
    public void Reserve(long floats)
    {
        if (floats <= _scratchFloats) return;
        Scratch = (float*)NativeMemory.AlignedRealloc(Scratch, checked((nuint)floats * sizeof(float)), 64);
        _scratchFloats = floats;
    }

    private static void Expect(Tensor tensor, int length)
    {
        if (tensor.Length != length) throw new ArgumentException($"{tensor} has {tensor.Length} elements; the host's buffer has {length}.");
    }
}
