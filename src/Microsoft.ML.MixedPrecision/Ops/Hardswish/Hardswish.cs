namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>x min(max(x + 3, 0), 6) / 6, element by element: a <see cref="Silu"/> of a parabola between two lines, the activation of MobileNetV3 (Howard et al., 2019). NaN stays NaN.</summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    public Network Hardswish(string? name = null) => Apply(new Hardswish(), name);
}

/// <summary>y = x min(max(x + 3, 0), 6) / 6; dx = 0 below -3, dy (2 x + 3) / 6 up to 3, dy above.</summary>
internal sealed class Hardswish : Activation<HardswishFunction>
{
    public override string Kind => "Hardswish";

    public override string Export(OnnxScope scope) => scope.Node("HardSwish", [scope.Input(0)]);
}

internal readonly partial struct HardswishFunction : IActivation
{
    private const float Knee = HardsigmoidFunction.Knee, Slope = HardsigmoidFunction.Slope;

    public static bool FromOutput => false;
}
