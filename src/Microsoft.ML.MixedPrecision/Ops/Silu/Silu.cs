namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>x / (1 + exp(-x)), element by element: the sigmoid-weighted unit, also called swish (Elfwing et al., 2018).</summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    public Network Silu(string? name = null) => Apply(new Silu(), name);
}

/// <summary>With s = 1 / (1 + exp(-x)): y = x s; dx = s (1 + x (1 - s)) dy.</summary>
internal sealed class Silu : Activation<SiluFunction>
{
    public override string Kind => "Silu";

    public override string Export(OnnxScope scope) => scope.Node("Mul", [scope.Input(0), scope.Node("Sigmoid", [scope.Input(0)])]);
}

internal readonly partial struct SiluFunction : IActivation
{
    public static bool FromOutput => false;
}
