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

    public override IReadOnlyList<MemoryRange> ScratchOf(Action run) => _scratchOf.GetValueOrDefault(run, []);
}
