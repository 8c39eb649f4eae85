namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>min(max(x, 0), 6), element by element, the activation of MobileNetV2 (Sandler et al., 2018). NaN stays NaN.</summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    public Network Relu6(string? name = null) => Apply(new Relu6(), name);
}

/// <summary>y = min(max(x, 0), 6); dx = dy where y lies between, as in PyTorch: at 0 and 6 themselves it is 0.</summary>
internal sealed class Relu6 : Activation<Relu6Function>
{
    public override string Kind => "Relu6";

    public override string Export(OnnxScope scope) => scope.Node("Clip", [scope.Input(0), scope.Graph.Scalar($"{scope.Name}.Least", 0f), scope.Graph.Scalar($"{scope.Name}.Most", Relu6Function.Most)]);
}

internal readonly partial struct Relu6Function : IActivation
{
    public const float Most = 6f;

    public static bool FromOutput => true;
    public static bool CommutesWithRounding => true; // both ends are halves
    public static bool GradientKeepsOrDrops => true;
}
