namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>The mean of each channel over all pixels: [h, w, c] to the vector [c]. PyTorch's AdaptiveAvgPool2d(1) followed by Flatten.</summary>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentException">The network's output here is not an image.</exception>
    public Network GlobalAvgPool2d(string? name = null) => Apply(new GlobalAvgPool2d(), name);
}

/// <summary>y[n, c] = mean over the pixels of x[n, p, c], FP32 sums; dx[n, p, c] = dy[n, c] / pixels.</summary>
internal sealed class GlobalAvgPool2d : Op
{
    public override string Kind => "GlobalAvgPool2d";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0].IsImage
        ? Shape.Vector(inputs[0].Channels)
        : throw Misfit(name, "an image [height, width, channels]", inputs[0].Described, "put it before Flatten()");

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        pass.Run(new GlobalAvgPool2dForward(pass.Input(0), y));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        if (pass.NeedsInputGradient(0)) pass.Run(new GlobalAvgPool2dBackward(pass.OutputGradient, pass.NewInputGradient(0)));
    }

    public override string Export(OnnxScope scope)
    {
        string pooled = scope.Node("GlobalAveragePool", [scope.Input(0)]);
        return scope.Graph.Reshape(pooled, $"{scope.Name}.Flat", scope.OutputShape.Size);
    }
}

/// <summary>x [n, h, w, c] to y [n, c]; pixels are added in their order.</summary>
internal sealed partial class GlobalAvgPool2dForward(Tensor x, Tensor y) : Kernel
{
    public override string Name => "GlobalAvgPool2d.Forward";
    public override IReadOnlyList<Tensor> Reads { get; } = [x];
    public override IReadOnlyList<Tensor> Writes { get; } = [y];

    private int Pixels => x.Dimensions[1] * x.Dimensions[2];
}

/// <summary>dy [n, c] to dx [n, h, w, c].</summary>
internal sealed partial class GlobalAvgPool2dBackward(Tensor dy, Tensor dx) : Kernel
{
    public override string Name => "GlobalAvgPool2d.Backward";
    public override IReadOnlyList<Tensor> Reads { get; } = [dy];
    public override IReadOnlyList<Tensor> Writes { get; } = [dx];

    private int Pixels => dx.Dimensions[1] * dx.Dimensions[2];
}
