namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// The mean of each window and channel, as PyTorch's AvgPool2d: [h, w, c] to [h', w', c] with
    /// h' = floor((h + 2 padding - kernel) / stride) + 1, and w' alike. FP32 sums.
    /// </summary>
    /// <param name="kernel">The window; at least 1 each.</param>
    /// <param name="stride">Pixels from one window to the next; by default the kernel, so that windows do not overlap.</param>
    /// <param name="padding">Rows and columns of zeros on each side; 0 by default, at most half the kernel.</param>
    /// <param name="countIncludePad">Whether padding counts in the mean; true by default, as in PyTorch. If not, the divisor is the number of pixels of the image in the window.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    /// <exception cref="ArgumentException">The network's output here is not an image, or the kernel is larger than the padded image.</exception>
    public Network AvgPool2d(Size2d kernel, Size2d? stride = null, Size2d? padding = null, bool countIncludePad = true, string? name = null) =>
        Apply(new AvgPool2d(Pooling.Window(kernel, stride, padding), countIncludePad), name);
}

/// <summary>y = sum over the window of x / d, with d its taps, or its pixels inside the image; dx = sum over the windows that see the pixel of dy / d.</summary>
internal sealed class AvgPool2d(Window2d window, bool countIncludePad) : Op
{
    public override string Kind => "AvgPool2d";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => Pooling.Infer(window, inputs[0], (expected, got, remedy) => Misfit(name, expected, got, remedy));
    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        pass.Run(new AvgPool2dForward(pass.Input(0), y, window, countIncludePad));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        if (pass.NeedsInputGradient(0)) pass.Run(new AvgPool2dBackward(pass.OutputGradient, pass.NewInputGradient(0), window, countIncludePad));
    }

    public override string Export(OnnxScope scope) =>
        scope.Node("AveragePool", [scope.Input(0)], [.. Pooling.Attributes(window), ("count_include_pad", countIncludePad ? 1L : 0L)]);
}

/// <summary>x [n, h, w, c] to y [n, h', w', c].</summary>
internal sealed partial class AvgPool2dForward(Tensor x, Tensor y, Window2d window, bool countIncludePad) : Kernel
{
    public override string Name => "AvgPool2d.Forward";
    public override IReadOnlyList<Tensor> Reads { get; } = [x];
    public override IReadOnlyList<Tensor> Writes { get; } = [y];
}

/// <summary>dy [n, h', w', c] to dx [n, h, w, c]; each pixel gathers from the windows that see it, in their order.</summary>
internal sealed partial class AvgPool2dBackward(Tensor dy, Tensor dx, Window2d window, bool countIncludePad) : Kernel
{
    public override string Name => "AvgPool2d.Backward";
    public override IReadOnlyList<Tensor> Reads { get; } = [dy];
    public override IReadOnlyList<Tensor> Writes { get; } = [dx];
}
