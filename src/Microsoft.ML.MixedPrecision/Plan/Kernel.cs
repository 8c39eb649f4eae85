namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// One step of a plan before it meets a device: what it reads, what it writes, and how each kind of backend binds it.
/// A backend calls its Bind once, when the plan is built; the action it gets back runs every step and must allocate
/// nothing, dispatch nothing and wait for nothing. Both bindings are abstract: a kernel that lacks one does not compile.
/// </summary>
internal abstract class Kernel
{
    /// <summary>What it computes, as it appears in the plan's print: "Relu.Forward".</summary>
    public abstract string Name { get; }

    /// <summary>Every tensor it reads. The memory planner keeps these alive up to this step, and a captured step waits for who wrote them, and for nobody else: see <see cref="WorkOrder"/>.</summary>
    public abstract IReadOnlyList<Tensor> Reads { get; }

    /// <summary>Every tensor it writes, wholly or in part; a tensor written in place is in both lists.</summary>
    public abstract IReadOnlyList<Tensor> Writes { get; }

    /// <summary>Multiplications and additions where they are what limits it, for rates in a profile; 0 where memory does.</summary>
    public virtual long FloatingPointOperations => 0;

    /// <summary>
    /// This kernel with <paramref name="next"/> done to each element that it stores in <see cref="ElementKernel.From"/>, which it then
    /// does not write any more; null where it cannot. See <see cref="Fusion"/>.
    /// </summary>
    public virtual Kernel? Then(ElementKernel next) => null;

    /// <summary>The step on the CPU, with <typeparamref name="T"/> as the working storage.</summary>
    public abstract Action BindCpu<T, TStorage>(CpuBackend cpu)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>;

    /// <summary>The step as an ILGPU launch, with <typeparamref name="T"/> as the working storage.</summary>
    public abstract Action BindGpu<T, TStorage>(IlgpuBackend gpu)
        where T : unmanaged
        where TStorage : struct, IStorage<T>;
}
