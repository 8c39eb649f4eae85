namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>The hyperbolic tangent, element by element.</summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    public Network Tanh(string? name = null) => Apply(new Tanh(), name);
}

/// <summary>y = tanh(x); dx = (1 - y^2) dy.</summary>
internal sealed class Tanh : Activation<TanhFunction>
{
    public override string Kind => "Tanh";

    public override string Export(OnnxScope scope) => scope.Node("Tanh", [scope.Input(0)]);
}

internal readonly partial struct TanhFunction : IActivation
{
    // 1 - 2 / (exp(2x) + 1) would cancel near 0. There it is x + x^3 (P0 + P1 x^2 + ... + P4 x^8): a minimax fit, 3e-8 of tanh(x).
    private const float Small = 0.65f, P0 = -0.33333327f, P1 = 0.13332584f, P2 = -0.053823817f, P3 = 0.020873679f, P4 = -0.0059239828f;

    public static bool FromOutput => true;
}
