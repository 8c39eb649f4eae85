namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>Several branches of one network side by side: vectors one after the other, sequences with all features of each position, images with all channels of each pixel.</summary>
    /// <param name="branches">At least one; images of one height and width, sequences of one length, or vectors.</param>
    /// <exception cref="ArgumentException">No branches, branches that do not share an input, different kinds of shapes, or different sizes.</exception>
    public static Network Concat(params ReadOnlySpan<Network> branches)
    {
        if (branches.IsEmpty) throw new ArgumentException("Concat: expected at least one branch, got none.", nameof(branches));
        return Apply(new Concat(), null, branches);
    }
}

/// <summary>y[..., offset(i) + c] = input i [..., c]; the gradient of an input is its part of dy.</summary>
internal sealed class Concat : Op
{
    public override string Kind => "Concat";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs)
    {
        var first = inputs[0];
        foreach (var shape in inputs)
        {
            if (!shape.Dimensions.SkipLast(1).SequenceEqual(first.Dimensions.SkipLast(1)))
            {
                throw Misfit(name, first.IsImage ? $"images of {first.Height}x{first.Width} pixels" : first.IsSequence ? $"sequences of {first.Length} positions" : "vectors",
                    shape.Described, "bring all branches to one size; Flatten() makes vectors");
            }
        }
        int channels = inputs.Sum(s => s.Channels);
        return first.IsImage ? Shape.Image(first.Height, first.Width, channels) : first.IsSequence ? Shape.Sequence(first.Length, channels) : Shape.Vector(channels);
    }

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        int offset = 0;
        for (int i = 0; i < pass.InputShapes.Count; offset += pass.InputShapes[i++].Channels)
            pass.Run(new ColumnCopy("Concat.Forward", pass.Input(i), 0, y, offset, pass.InputShapes[i].Channels));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        int offset = 0;
        for (int i = 0; i < pass.InputShapes.Count; offset += pass.InputShapes[i++].Channels)
            if (pass.NeedsInputGradient(i)) pass.Run(new ColumnCopy("Concat.Backward", pass.OutputGradient, offset, pass.NewInputGradient(i), 0, pass.InputShapes[i].Channels));
    }

    public override string Export(OnnxScope scope) =>
        scope.Node("Concat", [.. Enumerable.Range(0, scope.InputShapes.Count).Select(scope.Input)], ("axis", OnnxGraph.ChannelAxis(scope.OutputShape)));
}

/// <summary>to[r, toColumn + c] = from[r, fromColumn + c] for c below <paramref name="count"/>, over rows of the last dimension.</summary>
internal sealed partial class ColumnCopy(string name, Tensor from, int fromColumn, Tensor to, int toColumn, int count) : Kernel
{
    public override string Name { get; } = name;
    public override IReadOnlyList<Tensor> Reads { get; } = [from];
    public override IReadOnlyList<Tensor> Writes { get; } = [to];

    private long Rows => from.Length / from.Dimensions[^1];
}
