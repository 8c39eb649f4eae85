namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A kernel that makes each element of one tensor from the element at the same place of another, and perhaps of a third that is
/// only read. Where nothing else needs <see cref="From"/>, the kernel that writes it can do this one's work as it stores:
/// see <see cref="Fusion"/> and <see cref="Kernel.Then"/>.
/// </summary>
internal abstract class ElementKernel : Kernel
{
    /// <summary>What it works on.</summary>
    public abstract Tensor From { get; }

    /// <summary>What it writes: of the same length.</summary>
    public abstract Tensor To { get; }

    /// <summary>What it reads beside <see cref="From"/>.</summary>
    public IEnumerable<Tensor> OthersRead => Reads.Where(t => t != From);

    /// <summary>
    /// True where f(round(x)) = round(f(x)) and f(0) = 0, so that to leave out the rounding between two kernels changes no bit, and
    /// padding stays 0. Nothing else is fused: a fused plan gives the bits of one that is not.
    /// </summary>
    public abstract bool CommutesWithRounding { get; }

    /// <summary>Hands its function to a CPU kernel that applies it.</summary>
    public abstract Action Give<T, TStorage>(CpuBackend cpu, ICpuElementUser user)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>;

    /// <summary>Hands its function to a GPU kernel that applies it.</summary>
    public abstract Action Give<T, TStorage>(IlgpuBackend gpu, IGpuElementUser user)
        where T : unmanaged
        where TStorage : struct, IStorage<T>;
}
