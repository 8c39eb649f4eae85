using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class IlgpuBackend
{
    private readonly List<CapturedStep> _captured = [];

    /// <summary>Whether a captured step runs its works one after the other, as they were launched: to measure what it brings that they need not.</summary>
    public bool InOrder { get; init; }

    public override string? StepNote => _captured.FirstOrDefault(step => step.Note is not null)?.Note;

    public override Action Record(IReadOnlyList<Work> steps)
    {
        if (_stream is not CudaStream stream) return base.Record(steps);
        var captured = new CapturedStep(stream, [.. steps.Select(step => step.Run)], InOrder ? [.. steps.Select((_, i) => i == 0 ? (int[])[] : [i - 1])] : WaitsOf(steps));
        _captured.Add(captured);
        return captured.Run;
    }

    /// <summary>For each work the numbers of those that it must wait for.</summary>
    public int[][] WaitsOf(IReadOnlyList<Work> steps)
    {
        return WorkOrder.Of([.. steps.Select(step => Ranges(step.Reads))], [.. steps.Select(step => (MemoryRange[])[.. Ranges(step.Writes), .. _scratchOf.GetValueOrDefault(step.Run, [])])]);

        MemoryRange[] Ranges(IReadOnlyList<Tensor> tensors) => [.. tensors.Select(tensor => MemoryRange.Of(tensor, SizeOf(tensor.Element)))];
    }
}
