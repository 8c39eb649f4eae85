namespace Microsoft.ML.MixedPrecision;

/// <summary>sum += gradients, in FP32: the gradients of a micro-step added to those before it. The first one after an update starts the sum.</summary>
internal sealed partial class GradientAccumulation(Tensor gradients, Tensor sum, StepControl control) : Kernel
{
    public override string Name => "GradientAccumulation";
    public override IReadOnlyList<Tensor> Reads { get; } = [gradients, sum, control.Counters];
    public override IReadOnlyList<Tensor> Writes { get; } = [sum];
}
