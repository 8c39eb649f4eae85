namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// The largest value of each window and channel, as PyTorch's MaxPool2d: [h, w, c] to [h', w', c] with
    /// h' = floor((h + 2 padding - kernel) / stride) + 1, and w' alike. NaN wins, so that a run that diverged is seen.
    /// </summary>
    /// <param name="kernel">The window; at least 1 each.</param>
    /// <param name="stride">Pixels from one window to the next; by default the kernel, so that windows do not overlap.</param>
    /// <param name="padding">Rows and columns on each side that never win; 0 by default, at most half the kernel.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    /// <exception cref="ArgumentException">The network's output here is not an image, or the kernel is larger than the padded image or than 31,744 pixels.</exception>
    public Network MaxPool2d(Size2d kernel, Size2d? stride = null, Size2d? padding = null, string? name = null) =>
        Apply(new MaxPool2d(Pooling.Window(kernel, stride, padding)), name);
}

/// <summary>
/// y = max over the window. dx: a pixel gets dy of the windows in which it is the first maximum, in the order of the rows. Which pixel that is forward keeps, where backward will ask:
/// to find it again takes each pixel a look at all that precede it in each of its windows.
/// </summary>
internal sealed class MaxPool2d(Window2d window) : Op
{
    public override string Kind => "MaxPool2d";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs)
    {
        if ((long)window.Kernel.Height * window.Kernel.Width > Winner.MostPlaces)
            throw Misfit(name, $"a kernel of at most {Winner.MostPlaces} pixels", $"{window.Kernel}", "pool twice, with smaller kernels");
        return Pooling.Infer(window, inputs[0], (expected, got, remedy) => Misfit(name, expected, got, remedy));
    }

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        var winners = pass.WillNeedInputGradient(0) ? pass.New("Winners", ElementType.Working, pass.OutputShape.Batched(pass.Batch)) : null;
        pass.Run(new MaxPool2dForward(pass.Input(0), y, winners, window));
        if (winners is not null) pass.Save(winners);
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        if (pass.NeedsInputGradient(0)) pass.Run(new MaxPool2dBackward(pass.Saved[0], pass.OutputGradient, pass.NewInputGradient(0), window));
    }

    public override string Export(OnnxScope scope) => scope.Node("MaxPool", [scope.Input(0)], Pooling.Attributes(window));
}

/// <summary>x [n, h, w, c] to y [n, h', w', c], and the <see cref="Winner"/> of each window and channel where they are kept.</summary>
internal sealed partial class MaxPool2dForward(Tensor x, Tensor y, Tensor? winners, Window2d window) : Kernel
{
    public override string Name => "MaxPool2d.Forward";
    public override IReadOnlyList<Tensor> Reads { get; } = [x];
    public override IReadOnlyList<Tensor> Writes { get; } = winners is null ? [y] : [y, winners];
}

/// <summary>dy [n, h', w', c] to dx [n, h, w, c], FP32 sums where windows overlap, in the order of the windows.</summary>
internal sealed partial class MaxPool2dBackward(Tensor winners, Tensor dy, Tensor dx, Window2d window, ElementKernel? next = null) : Kernel
{
    private readonly ElementKernel? _next = next;

    public override string Name { get; } = next is null ? "MaxPool2d.Backward" : $"MaxPool2d.Backward + {next.Name}";
    public override IReadOnlyList<Tensor> Reads { get; } = [winners, dy, .. next?.OthersRead ?? []];
    public override IReadOnlyList<Tensor> Writes { get; } = [dx];
    public override Kernel? Then(ElementKernel following) => _next is null && following.From == dx ? new MaxPool2dBackward(winners, dy, following.To, window, following) : null;
}

/// <summary>
/// A place in a window, row by row from 0 on. The CPU keeps it as bits; a GPU as a number that every storage keeps: the one whose half has the place as its bits. All finite positive
/// halves are such numbers, and a later place's is larger.
/// </summary>
internal static class Winner
{
    /// <summary>Halves below infinity.</summary>
    public const int MostPlaces = 0x7C00;

    public static float At(int place) => HalfBitsStorage.FromBits((uint)place);
}
