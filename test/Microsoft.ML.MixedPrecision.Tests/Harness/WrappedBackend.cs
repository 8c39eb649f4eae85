namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>A backend that passes everything on to another: for tests that look at what goes by, or change it.</summary>
/// <param name="inner">Disposed with this.</param>
internal abstract class WrappedBackend(Backend inner) : Backend(inner.Precision)
{
    public override string Device => inner.Device;
    public override long? FreeBytes => inner.FreeBytes;
    public override long BytesBesidePlan => inner.BytesBesidePlan;
    public override void Allocate(IReadOnlyDictionary<Region, long> bytes) => inner.Allocate(bytes);
    public override void Free(Region region) => inner.Free(region);
    public override IResidentRows? Keep(RowStore rows, ExecutionPlan plan) => inner.Keep(rows, plan);
    public override Action Bind(Kernel kernel) => inner.Bind(kernel);
    public override Action Record(IReadOnlyList<Work> steps) => inner.Record(steps);
    public override IReadOnlyList<MemoryRange> ScratchOf(Action run) => inner.ScratchOf(run);
    public override string? StepNote => inner.StepNote;
    public override void Upload(Tensor tensor, ReadOnlySpan<float> values) => inner.Upload(tensor, values);
    public override void Upload(Tensor tensor, ReadOnlySpan<int> values) => inner.Upload(tensor, values);
    public override void Download(Tensor tensor, Span<float> values) => inner.Download(tensor, values);
    public override void Download(Tensor tensor, Span<int> values) => inner.Download(tensor, values);
    public override void Synchronize() => inner.Synchronize();
    public override bool CanBeLost => inner.CanBeLost;
    public override void Abandon() => inner.Abandon();
    public override void Dispose() => inner.Dispose();
}
