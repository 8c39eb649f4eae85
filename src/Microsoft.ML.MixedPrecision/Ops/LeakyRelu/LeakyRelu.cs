namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>x where it is positive, slope x elsewhere, element by element (Maas et al., 2013).</summary>
    /// <param name="slope">0.01 by default, PyTorch's; from 0 to below 1.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="slope"/> is outside its range.</exception>
    public Network LeakyRelu(float slope = 0.01f, string? name = null)
    {
        if (!(slope >= 0f && slope < 1f)) throw new ArgumentOutOfRangeException(nameof(slope), slope, "Expected a slope from 0 to below 1.");
        return Apply(new LeakyRelu(slope), name);
    }
}

/// <summary>y = x or slope x; dx = dy or slope dy, by the sign of y, which is that of x.</summary>
internal sealed class LeakyRelu(float slope) : Activation<LeakyReluFunction>(slope)
{
    public override string Kind => "LeakyRelu";

    public override string Export(OnnxScope scope) => scope.Node("LeakyRelu", [scope.Input(0)], ("alpha", Parameter));
}

internal readonly partial struct LeakyReluFunction : IActivation
{
    public static bool FromOutput => true;
}
