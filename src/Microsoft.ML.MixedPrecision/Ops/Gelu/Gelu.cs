namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>x times the normal distribution function at x, element by element (Hendrycks and Gimpel, 2016): x / 2 (1 + erf(x / sqrt(2))), the exact form, PyTorch's default.</summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    public Network Gelu(string? name = null) => Apply(new Gelu(), name);
}

/// <summary>With P the normal distribution function and p its density: y = x P(x); dx = (P(x) + x p(x)) dy.</summary>
internal sealed class Gelu : Activation<GeluFunction>
{
    public override string Kind => "Gelu";

    public override string Export(OnnxScope scope)
    {
        // In FP32: of large negative x, 1 + erf is a difference that a half has no digits for.
        var g = scope.Graph;
        string x = g.ToSingle(scope.Input(0), $"{scope.Name}.x");
        string erf = scope.Node("Erf", [scope.Node("Mul", [x, g.Single($"{scope.Name}.RootHalf", [0.70710678f])])]);
        string twice = scope.Node("Mul", [x, scope.Node("Add", [erf, g.Single($"{scope.Name}.One", [1f])])]);
        return g.ToWorking(scope.Node("Mul", [twice, g.Single($"{scope.Name}.Half", [0.5f])]), $"{scope.Name}.y");
    }
}

internal readonly partial struct GeluFunction : IActivation
{
    private const float RootHalf = 0.70710678f, InverseRootTwoPi = 0.39894228f;

    // erfc(z) = (A1 t + ... + A5 t^5) exp(-z^2) for z >= 0, t = 1 / (1 + P z), within 1.5e-7: Abramowitz and Stegun, 7.1.26.
    private const float P = 0.3275911f, A1 = 0.254829592f, A2 = -0.284496736f, A3 = 1.421413741f, A4 = -1.453152027f, A5 = 1.061405429f;

    public static bool FromOutput => false;
}
