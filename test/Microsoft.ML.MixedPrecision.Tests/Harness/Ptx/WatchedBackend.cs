using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// A GPU's backend whose kernels run as PTX, and which fails where one touches a byte that it does not declare: in a captured step nothing
/// orders it with the kernels that declare that byte. What is read must be among <see cref="Work.Reads"/>, <see cref="Work.Writes"/> or the kernel's
/// own scratch, what is written among the last two. A view that is passed and not touched does not count.
/// </summary>
internal sealed class WatchedBackend : WrappedBackend
{
    private const int Vector = 8; // elements: see IlgpuBackend.Vectors

    private readonly IlgpuBackend _gpu;
    private readonly List<PtxGlobalRaces> _launches;
    private readonly Dictionary<Action, string> _names = [];
    private readonly HashSet<Tensor> _tensors = [];

    private WatchedBackend(IlgpuBackend gpu, List<PtxGlobalRaces> launches) : base(gpu) => (_gpu, _launches) = (gpu, launches);

    /// <summary>Launches that were looked at.</summary>
    public int Launches { get; private set; }

    /// <summary>Names of bound kernels with scratch: products that are cut into parts.</summary>
    public IReadOnlyCollection<string> WithScratch => [.. _names.Where(bound => ScratchOf(bound.Key).Count > 0).Select(bound => bound.Value).Distinct()];

    /// <inheritdoc cref="IlgpuBackend(Precision, IlgpuDevice, HalfFormat, bool?, bool?)"/>
    public static WatchedBackend Create(CudaArchitecture architecture, Precision precision, bool tensorCores = true, bool warpGroups = true)
    {
        var launches = new List<PtxGlobalRaces>();
        var device = new PtxDevice(architecture) { Launched = launches.Add };
        return new(new IlgpuBackend(precision, device, tensorCores: tensorCores, warpGroups: warpGroups && device.HasWarpGroups), launches);
    }

    public override Action Bind(Kernel kernel)
    {
        var run = base.Bind(kernel);
        _names[run] = kernel.Name;
        return run;
    }

    public override Action Record(IReadOnlyList<Work> steps)
    {
        foreach (var work in steps) _tensors.UnionWith([.. work.Reads, .. work.Writes]);
        return base.Record([.. steps.Select(work => work with { Run = () => Watch(work) })]);
    }

    private void Watch(Work work)
    {
        _launches.Clear();
        work.Run();
        Launches += _launches.Count;
        (ulong Start, ulong End)[] writes = [.. work.Writes.Select(WithLastVector).Concat(ScratchOf(work.Run)).Select(Addresses)], reads = [.. work.Reads.Select(WithLastVector).Select(Addresses), .. writes];
        string name = _names.GetValueOrDefault(work.Run, $"What gathers {string.Join(" and ", work.Writes.Select(tensor => tensor.Name))}");
        foreach (var launch in _launches)
        {
            foreach (var stretch in launch.Touched(written: true)) Check(stretch, writes, name, "writes");
            foreach (var stretch in launch.Touched(written: false)) Check(stretch, reads, name, "reads");
        }
    }

    private void Check((ulong Start, ulong End) stretch, (ulong Start, ulong End)[] declared, string name, string does)
    {
        for (ulong at = stretch.Start; at < stretch.End;)
        {
            ulong end = declared.Where(range => range.Start <= at && at < range.End).Select(range => range.End).DefaultIfEmpty().Max();
            if (end == 0) Assert.Fail($"{name} {does} {Describe(at)}, which it does not declare.");
            at = end;
        }
    }

    /// <summary>The last vector of a tensor may reach into the room behind it, but not into what lies behind it in the same block.</summary>
    private MemoryRange WithLastVector(Tensor tensor)
    {
        var range = RangeOf(tensor);
        if (tensor.ArenaOffset < 0) return range;
        long end = tensor.Start + tensor.Length, whole = tensor.Start + (tensor.Length + Vector - 1) / Vector * Vector;
        long next = _tensors.Where(other => other.Owner == tensor.Owner && other.Start >= end).Select(other => other.Start).DefaultIfEmpty(long.MaxValue).Min();
        return range with { End = range.End + (Math.Min(whole, next) - end) * SizeOf(tensor.Element) };
    }

    private (ulong Start, ulong End) Addresses(MemoryRange range)
    {
        var bytes = _gpu.Bytes(range);
        ulong start = bytes.Length == 0 ? 0 : (ulong)bytes.LoadEffectiveAddressAsPtr();
        return (start, start + (ulong)bytes.Length);
    }

    /// <summary>The tensors that have a byte: several where they live one after the other.</summary>
    private string Describe(ulong address)
    {
        var found = _tensors.Select(tensor => (Tensor: tensor, Range: Addresses(WithLastVector(tensor)))).Where(t => t.Range.Start <= address && address < t.Range.End).ToArray();
        return found.Length == 0 ? "memory of no tensor" : string.Join(" or ", found.Select(t => $"byte {address - t.Range.Start} of {t.Tensor}"));
    }
}
