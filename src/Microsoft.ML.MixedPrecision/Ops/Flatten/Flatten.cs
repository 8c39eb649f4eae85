namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>An image as a vector, pixel by pixel with all channels of a pixel together: [h, w, c] to [h w c]; a sequence alike, position by position. A vector stays as it is.</summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    public Network Flatten(string? name = null) => Apply(new Flatten(), name);
}

/// <summary>The same elements as a vector: a view, without a kernel.</summary>
internal sealed class Flatten : Op
{
    public override string Kind => "Flatten";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => Shape.Vector(inputs[0].Size);
    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass) => pass.Input(0).Reshape(pass.OutputShape.Batched(pass.Batch));

    public override void Backward(BackwardPass pass)
    {
        if (pass.NeedsInputGradient(0)) pass.PassInputGradient(0, pass.OutputGradient.Reshape(pass.InputShapes[0].Batched(pass.Batch)));
    }

    public override string Export(OnnxScope scope) => scope.Graph.Flatten(scope.Input(0), scope.Name, scope.InputShapes[0]);
}
