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
    private const float HalfRootHalf = 0.35355339f, InverseRootTwoPi = 0.39894228f;

    // erfc(z) = t (Q0 + Q1 t + ... + Q8 t^8) exp(-z^2) for z >= 0, t = 1 / (1 + z / 2): a minimax fit of the relative error over
    // z <= 10.5, 4e-8 in exact arithmetic and 3e-7 in FP32. Relative, because of large negative x nothing but the tail is left.
    private const float
        Q0 = 0.28208557f, Q1 = 0.28239007f, Q2 = 0.24299663f, Q3 = 0.20310987f, Q4 = -0.027623284f,
        Q5 = 0.27951236f, Q6 = -0.48846066f, Q7 = 0.28518271f, Q8 = -0.059193306f;

    public static bool FromOutput => false;
}
