namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>The hyperbolic tangent, element by element.</summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    public Network Tanh(string? name = null) => Apply(new Tanh(), name);
}

/// <summary>y = tanh(x) = 1 - 2 / (exp(2x) + 1); dx = (1 - y^2) dy.</summary>
internal sealed class Tanh : Activation<TanhFunction>
{
    public override string Kind => "Tanh";

    public override string Export(OnnxScope scope) => scope.Node("Tanh", [scope.Input(0)]);
}

internal readonly partial struct TanhFunction : IActivation
{
    public static bool FromOutput => true;
}
