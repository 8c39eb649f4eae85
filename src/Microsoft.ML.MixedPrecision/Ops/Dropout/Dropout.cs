namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// Sets each element to 0 with a probability, and divides the others by 1 - p, so that the mean stays (Srivastava et al.,
    /// 2014). Only in training: inference passes its input on. Which elements fall is a function of the seed, the layer, the
    /// pass and the element's place alone: a run repeats bit for bit, on any device.
    /// </summary>
    /// <param name="p">The probability that an element falls; 0.5 by default, from 0 to below 1.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="p"/> is outside its range.</exception>
    public Network Dropout(float p = 0.5f, string? name = null)
    {
        if (!(p >= 0f && p < 1f)) throw new ArgumentOutOfRangeException(nameof(p), p, "Expected a probability from 0 to below 1.");
        return Apply(new Dropout(p), name);
    }
}

/// <summary>
/// y = x mask / (1 - p), dx = dy mask / (1 - p). The mask is never stored: both directions draw it anew, element i from word i mod 4
/// of Philox at counter (i / 4, pass), key (seed, layer).
/// </summary>
internal sealed class Dropout(float p) : Op
{
    public override string Kind => "Dropout";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0];
    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        if (!pass.Training) return pass.Input(0);
        var y = pass.NewOutput();
        pass.Run(new DropoutMask("Dropout.Forward", pass.Input(0), y, pass.Counters, p, pass.Seed, pass.LayerNumber));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        if (pass.NeedsInputGradient(0))
            pass.Run(new DropoutMask("Dropout.Backward", pass.OutputGradient, pass.NewInputGradient(0), pass.Counters, p, pass.Seed, pass.LayerNumber));
    }

    public override string Export(OnnxScope scope) => scope.Input(0);
}

/// <summary>to = from mask / (1 - p), element by element.</summary>
internal sealed partial class DropoutMask(string name, Tensor from, Tensor to, Tensor counters, float p, uint seed, int layer) : Kernel
{
    public override string Name { get; } = name;
    public override IReadOnlyList<Tensor> Reads { get; } = [from, counters];
    public override IReadOnlyList<Tensor> Writes { get; } = [to];

    /// <summary>An element falls where the top 24 bits of its word are below this.</summary>
    private uint Threshold => (uint)(p * 16777216f);

    private float Scale => 1f / (1f - p);
}
