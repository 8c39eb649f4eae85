namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>The same elements as an image, pixel by pixel with all channels of a pixel together.</summary>
    /// <param name="height">Rows, at least 1.</param>
    /// <param name="width">Columns, at least 1.</param>
    /// <param name="channels">Values of each pixel, at least 1.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentException">height x width x channels is not the number of elements here.</exception>
    public Network Reshape(int height, int width, int channels, string? name = null) => Apply(new Reshape(Shape.Image(height, width, channels)), name);

    /// <summary>The same elements as a sequence: of an image, pixel after pixel; of a vector, position after position.</summary>
    /// <param name="length">Positions, at least 1.</param>
    /// <param name="features">Values at each position, at least 1.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentException">length x features is not the number of elements here.</exception>
    public Network Reshape(int length, int features, string? name = null) => Apply(new Reshape(Shape.Sequence(length, features)), name);
}

/// <summary>The same elements in another shape: a view, without a kernel.</summary>
internal sealed class Reshape(Shape shape) : Op
{
    public override string Kind => "Reshape";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0].Size == shape.Size
        ? shape
        : throw Misfit(name, $"{shape.Size} elements for {shape}", $"{inputs[0].Size} in {inputs[0]}", "choose extents whose product is the number of elements");

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass) => pass.Input(0).Reshape(pass.OutputShape.Batched(pass.Batch));

    public override void Backward(BackwardPass pass)
    {
        if (pass.NeedsInputGradient(0)) pass.PassInputGradient(0, pass.OutputGradient.Reshape(pass.InputShapes[0].Batched(pass.Batch)));
    }

    public override string Export(OnnxScope scope) =>
        scope.Graph.Unflatten(scope.Graph.Flatten(scope.Input(0), $"{scope.Name}.flat", scope.InputShapes[0]), scope.Name, shape);
}
