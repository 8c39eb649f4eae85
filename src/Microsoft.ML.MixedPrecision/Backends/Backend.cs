namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The memory of one plan on one device, and the means to bind its kernels there. Small on purpose: what an operation
/// computes lives with the operation. Not thread safe; one training uses one backend.
/// </summary>
internal abstract class Backend : IDisposable
{
    protected Backend(Precision precision) => Precision = precision;

    /// <summary>What <see cref="ElementType.Working"/> means here.</summary>
    public Precision Precision { get; }

    /// <summary>The device, in words: "CPU, 2 threads, AVX-512".</summary>
    public abstract string Device { get; }

    /// <summary>Bytes of one element.</summary>
    public int SizeOf(ElementType element) => element == ElementType.Working && Precision == Precision.Mixed ? 2 : 4;

    /// <summary>Bytes of the device's memory that nothing takes; null where it is the host's memory.</summary>
    public virtual long? FreeBytes => null;

    /// <summary>Bytes of the device's memory that kernels take beside a plan, whatever its batch.</summary>
    public virtual long BytesBesidePlan => 0;

    /// <summary>One zeroed arena for each region. Called once, before anything is bound.</summary>
    /// <param name="bytes">Bytes of the arena of each <see cref="Region"/>.</param>
    /// <exception cref="DeviceMemoryException">The device has not so much.</exception>
    public abstract void Allocate(IReadOnlyDictionary<Region, long> bytes);

    /// <summary>Gives an arena back, as far as that makes room on the host, after all earlier steps. Its tensors, and what is bound to them, must not be used any more.</summary>
    public abstract void Free(Region region);

    /// <summary>
    /// Copies rows to the device, to be gathered into a plan's staging tensors there. After <see cref="Allocate"/>.
    /// </summary>
    /// <returns>Null where the rows do not fit, and where the device has no memory of its own that would bring them nearer.</returns>
    public virtual IResidentRows? Keep(RowStore rows, ExecutionPlan plan) => null;

    /// <summary>Chooses, compiles and binds a kernel. The action runs it, in the order of the calls, without waiting for it.</summary>
    public abstract Action Bind(Kernel kernel);

    /// <summary>One action for several that <see cref="Bind"/> gave: as if in their order, on the device as one unit where it has such.</summary>
    /// <param name="steps">They only launch: no uploads, no downloads.</param>
    public virtual Action Record(IReadOnlyList<Work> steps)
    {
        Action[] all = [.. steps.Select(step => step.Run)];
        return () =>
        {
            foreach (var step in all) step();
        };
    }

    /// <summary>What a bound kernel writes, and may read again, beside its tensors; nothing where kernels run one after the other.</summary>
    public virtual IReadOnlyList<MemoryRange> ScratchOf(Action run) => [];

    /// <summary>Where a tensor lies.</summary>
    public MemoryRange RangeOf(Tensor tensor) => MemoryRange.Of(tensor, SizeOf(tensor.Element));

    /// <summary>For each work the numbers of those before it that it must wait for: see <see cref="WorkOrder"/>.</summary>
    public int[][] WaitsOf(IReadOnlyList<Work> works) => WorkOrder.Of(
        [.. works.Select(work => (MemoryRange[])[.. work.Reads.Select(RangeOf)])],
        [.. works.Select(work => (MemoryRange[])[.. work.Writes.Select(RangeOf), .. ScratchOf(work.Run)])]);

    /// <summary>How <see cref="Record"/>ed steps run here, as a sentence for the log; null where there is nothing to say.</summary>
    public virtual string? StepNote => null;

    /// <summary>Copies floats into a tensor, rounding to its storage. Safe against what earlier steps still read.</summary>
    public abstract void Upload(Tensor tensor, ReadOnlySpan<float> values);

    /// <summary>Copies integers into an <see cref="ElementType.Int32"/> tensor.</summary>
    public abstract void Upload(Tensor tensor, ReadOnlySpan<int> values);

    /// <summary>Waits for all earlier steps and copies a tensor out as floats.</summary>
    public abstract void Download(Tensor tensor, Span<float> values);

    /// <summary>Waits for all earlier steps and copies an <see cref="ElementType.Int32"/> tensor out.</summary>
    public abstract void Download(Tensor tensor, Span<int> values);

    /// <summary>Waits until every step issued so far is done.</summary>
    public abstract void Synchronize();

    /// <summary>Whether the device can go away in the middle of a training, as a GPU can and the CPU cannot.</summary>
    public virtual bool CanBeLost => false;

    /// <summary>The device was lost: from here on only <see cref="Dispose"/> is called, and what the driver says to that does not matter.</summary>
    public virtual void Abandon() { }

    public abstract void Dispose();
}
