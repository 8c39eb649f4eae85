using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class IlgpuBackend
{
    private readonly List<CapturedStep> _captured = [];

    public override string? StepNote => _captured.FirstOrDefault(step => step.Note is not null)?.Note;

    public override Action Record(IReadOnlyList<Action> steps)
    {
        if (_stream is not CudaStream stream) return base.Record(steps);
        var captured = new CapturedStep(stream, steps);
        _captured.Add(captured);
        return captured.Run;
    }
}
