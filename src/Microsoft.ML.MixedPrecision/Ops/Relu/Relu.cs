namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>max(x, 0), element by element. NaN stays NaN, so that a run that diverged is seen.</summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    public Network Relu(string? name = null) => Apply(new Relu(), name);
}

/// <summary>y = max(x, 0); dx = dy where y is above 0.</summary>
internal sealed class Relu : Activation<ReluFunction>
{
    public override string Kind => "Relu";
    public override string Export(OnnxScope scope) => scope.Node("Relu", [scope.Input(0)]);
}

internal readonly partial struct ReluFunction : IActivation
{
    public static bool FromOutput => true;
    public static bool CommutesWithRounding => true;
    public static bool GradientKeepsOrDrops => true;
}
