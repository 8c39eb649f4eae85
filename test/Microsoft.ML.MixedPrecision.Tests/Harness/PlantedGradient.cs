namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>A loss that hands a given gradient to the network's output: L = sum of r * y, with r in place of the labels.</summary>
internal sealed record PlantedGradient : Loss
{
    internal override ScoringTask Task => ScoringTask.VectorRegression;

    internal override void Validate() { } // any gradient may be planted

    internal override LossTargets NewTargets(int batch, Shape output) => LossTargets.Values(batch, output.Size);

    internal override Kernel Rows(Tensor output, LossTargets targets, LossRows rows, StepControl control) => new ZeroRows(rows, control);

    internal override Kernel Gradient(Tensor output, LossTargets targets, LossRows rows, Tensor gradient, StepControl control) =>
        new Ingest(targets.Labels, gradient, Shape.Vector(output.Dimensions.Skip(1).Aggregate(1, (a, b) => a * b)), PixelOrder.Interleaved);

    private sealed unsafe class ZeroRows(LossRows rows, StepControl control) : Kernel
    {
        public override string Name => "PlantedGradient.Rows";
        public override IReadOnlyList<Tensor> Reads { get; } = [control.Counters];
        public override IReadOnlyList<Tensor> Writes { get; } = [rows.Losses, rows.Weights, rows.Metrics];

        public override Action BindCpu<T, TStorage>(CpuBackend cpu) => () =>
        {
            foreach (var tensor in Writes) new Span<float>(cpu.Pointer<float>(tensor), (int)tensor.Length).Clear();
        };

        // A device's arenas start zeroed and nothing else writes these in a plan that keeps all.
        public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => () => { };
    }
}
