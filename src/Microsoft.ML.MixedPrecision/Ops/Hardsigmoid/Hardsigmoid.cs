namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>min(max(x + 3, 0), 6) / 6, element by element: a sigmoid of three lines, the gate of MobileNetV3 (Howard et al., 2019). NaN stays NaN.</summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    public Network Hardsigmoid(string? name = null) => Apply(new Hardsigmoid(), name);
}

/// <summary>y = min(max(x + 3, 0), 6) / 6; dx = dy / 6 where x lies between -3 and 3. Of the input, not the output: a half near 1 does not tell whether x was below 3.</summary>
internal sealed class Hardsigmoid : Activation<HardsigmoidFunction>
{
    public override string Kind => "Hardsigmoid";

    public override string Export(OnnxScope scope) => scope.Node("HardSigmoid", [scope.Input(0)], ("alpha", HardsigmoidFunction.Slope), ("beta", 0.5f));
}

internal readonly partial struct HardsigmoidFunction : IActivation
{
    /// <summary>Where the lines meet.</summary>
    public const float Knee = 3f;

    public const float Slope = 1f / 6f;

    public static bool FromOutput => false;
}
