namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A kernel that begins by summing the columns of a tensor over parts of its rows: a bias gradient, the statistics of batch norm. Where a
/// <see cref="MatrixProduct"/> writes the tensor, a backend sums while it stores, or what has just been stored, and the tensor is read once less from memory.
/// </summary>
internal abstract class ColumnReader : Kernel
{
    /// <summary>Rows of the smallest tile of <see cref="TensorProduct"/>.</summary>
    private const int ShortestTile = 64;

    /// <summary>What is summed: [..., columns].</summary>
    public abstract Tensor From { get; }

    /// <summary>Where the sums of the parts go: FP32, [<see cref="MostParts"/>, ...].</summary>
    public abstract Tensor Parts { get; }

    /// <summary>What a kernel that takes the sums must read beside <see cref="From"/>; among <see cref="Kernel.Reads"/> too.</summary>
    public virtual IReadOnlyList<Tensor> SumsRead => [];

    /// <summary>The product that writes <see cref="From"/> and has this as its <see cref="MatrixProduct.Reader"/>; null where none has. Set by <see cref="Fusion"/>.</summary>
    public MatrixProduct? Producer { get; set; }

    /// <summary>Parts of which there must be room for the rows of <paramref name="from"/>: tiles, or what is cut where no product sums.</summary>
    public static int MostParts(Tensor from) => Math.Max((ChannelParts.Rows(from) + ShortestTile - 1) / ShortestTile, ChannelParts.Most(from));

    /// <summary>What sums parts of the rows on the CPU, as <see cref="ChannelParts"/> cuts them: from one to before another. Called by several threads, for parts of their own.</summary>
    public abstract Action<long, long> SumParts<T, TStorage>(CpuBackend cpu)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>;

    /// <summary>Hands its sums to a GPU kernel that has the rows at hand.</summary>
    public abstract Action Give<T, TStorage>(IlgpuBackend gpu, IGpuSumsUser user)
        where T : unmanaged
        where TStorage : struct, IStorage<T>;
}

/// <summary>A GPU kernel that waits for the sums it is to take of what it stores.</summary>
internal interface IGpuSumsUser
{
    Action With<TSums, TArguments>(TArguments arguments) where TSums : struct, IGpuStoredSums<TArguments> where TArguments : struct;
}
