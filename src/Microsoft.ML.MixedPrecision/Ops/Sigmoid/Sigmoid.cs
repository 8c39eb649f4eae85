namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>1 / (1 + exp(-x)), element by element. Not before a loss that contains it: a binary network ends in the scores before the sigmoid.</summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    public Network Sigmoid(string? name = null) => Apply(new Sigmoid(), name);
}

/// <summary>y = 1 / (1 + exp(-x)); dx = y (1 - y) dy.</summary>
internal sealed class Sigmoid : Activation<SigmoidFunction>
{
    public override string Kind => "Sigmoid";

    public override string Export(OnnxScope scope) => scope.Node("Sigmoid", [scope.Input(0)]);
}

internal readonly partial struct SigmoidFunction : IActivation
{
    public static bool FromOutput => true;
}
