namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// A 2-D convolution as PyTorch's Conv2d (a cross-correlation): [h, w, c] to [h', w', filters] with
    /// h' = floor((h + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, and w' alike. Weight and bias start uniform in
    /// ±1/sqrt(kernel height * kernel width * c / groups).
    /// </summary>
    /// <param name="filters">Channels of the output, at least 1.</param>
    /// <param name="kernel">Taps of the window; at least 1 each.</param>
    /// <param name="stride">Pixels from one window to the next; 1 by default, at least 1.</param>
    /// <param name="padding">Rows and columns of zeros on each side; 0 by default, at least 0.</param>
    /// <param name="dilation">Pixels from one tap to the next; 1 by default, at least 1.</param>
    /// <param name="groups">Parts of the channels that are convolved each by themselves; divides channels and filters; 1 by default. Equal to the channels: a depthwise convolution.</param>
    /// <param name="bias">Whether a bias is added to each filter. Superfluous before BatchNorm.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    /// <exception cref="ArgumentException">The network's output here is not an image, the kernel is larger than the padded image, or groups do not divide.</exception>
    public Network Conv2d(int filters, Size2d kernel, Size2d? stride = null, Size2d? padding = null, Size2d? dilation = null, int groups = 1, bool bias = true, string? name = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(filters);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(groups);
        return Apply(new Conv2d(filters, Window2d.Of(kernel, stride ?? 1, padding ?? 0, dilation ?? 1), groups, bias), name);
    }
}

/// <summary>
/// y[n, y, x, f] = b[f] + sum over taps and channels of the filter's group of x * w: for each group a matrix product whose
/// left operand is the im2col view of the image, never written down. The weight gradient is the transposed view times dy; the
/// input gradient is the view of dy times the weights with their taps reversed. Weights are [groups, kh, kw, c/groups, f/groups].
/// </summary>
internal sealed class Conv2d(int filters, Window2d window, int groups, bool bias) : Op
{
    private const int Weight = 0, Bias = 1; // in the order of Parameters

    public override string Kind => "Conv2d";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs)
    {
        var input = inputs[0];
        if (!input.IsImage) throw Misfit(name, "an image [height, width, channels]", input.Described, "start from Network.Image(...), or put Reshape(height, width, channels) before it");
        if (input.Channels % groups != 0 || filters % groups != 0)
            throw Misfit(name, $"channels and filters that {groups} groups divide", $"{input.Channels} channels and {filters} filters", "choose groups that divide both");
        int height = window.OutHeight(input.Height), width = window.OutWidth(input.Width);
        if (height < 1 || width < 1)
            throw Misfit(name, $"a kernel that fits the input {input} with padding {window.Padding}", $"{window.Kernel} with dilation {window.Dilation}", "use a smaller kernel or more padding");
        return Shape.Image(height, width, filters);
    }

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs)
    {
        int channels = inputs[0].Channels / groups, fanIn = window.Kernel.Height * window.Kernel.Width * channels;
        var weight = new ParameterSpec("Weight", new Initializer.FanIn(fanIn), groups, window.Kernel.Height, window.Kernel.Width, channels, filters / groups);
        return bias ? [weight, new ParameterSpec("Bias", new Initializer.FanIn(fanIn), filters)] : [weight];
    }

    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var g = Geometry(pass.Batch, pass.InputShapes[0]);
        var (x, y, weight) = (pass.Input(0), pass.NewOutput(), pass.Weight(Weight));
        var b = bias ? pass.Weight(Bias) : null;
        if (IsDepthwise(g))
        {
            pass.Run(new DepthwiseForward(x, weight, b, y, pass.New("Taps", ElementType.Working, g.Taps, g.Channels), g));
            return y;
        }
        var filters = new DenseOperand(weight, g.Patch, g.GroupFilters, 0, g.GroupFilters, Transposed: false, Step: g.GroupWeights);
        pass.Run(new MatrixProduct("Conv2d.Forward", new PatchesOperand(x, g, Group: 0, Transposed: false), filters, y, 0, g.Filters, b, count: groups, step: g.GroupFilters));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        var g = Geometry(pass.Batch, pass.InputShapes[0]);
        var (x, dy, weight) = (pass.Input(0), pass.OutputGradient, pass.Weight(Weight));
        pass.Run(IsDepthwise(g)
            ? new DepthwiseWeightGradient(x, dy, pass.WeightGradient(Weight), pass.New("WeightGradientParts", ElementType.Single, DepthwiseWeightGradient.Parts(g).Count, g.Taps, g.Channels), g)
            : new MatrixProduct("Conv2d.WeightGradient", new PatchesOperand(x, g, Group: 0, Transposed: true),
                new DenseOperand(dy, g.OutPixels, g.GroupFilters, 0, g.Filters, Transposed: false, Step: g.GroupFilters), pass.WeightGradient(Weight), 0, g.GroupFilters, count: groups, step: g.GroupWeights));
        if (bias) pass.Run(ColumnSum.Of(pass, dy, pass.WeightGradient(Bias)));
        if (!pass.NeedsInputGradient(0)) return;
        var dx = pass.NewInputGradient(0);
        pass.Run(IsDepthwise(g)
            ? new DepthwiseInputGradient(dy, weight, dx, pass.New("GradientTaps", ElementType.Working, g.Taps, g.Channels), g)
            : new MatrixProduct("Conv2d.InputGradient", new GradientPatchesOperand(dy, g, Group: 0), new ReversedTapsOperand(weight, g, Group: 0),
                dx, 0, g.Channels, count: groups, step: g.GroupChannels));
    }

    public override string Export(OnnxScope scope)
    {
        var g = Geometry(1, scope.InputShapes[0]);
        string weight = scope.Graph.Weights($"{scope.Name}.Weight", FiltersFirst(scope.ParameterValues(Weight), g), g.Filters, g.GroupChannels, g.KernelHeight, g.KernelWidth);
        var (s, p, d) = (window.Stride, window.Padding, window.Dilation);
        return scope.Node("Conv", bias ? [scope.Input(0), weight, scope.Weight(Bias)] : [scope.Input(0), weight],
            ("kernel_shape", new long[] { g.KernelHeight, g.KernelWidth }), ("strides", new long[] { s.Height, s.Width }),
            ("pads", new long[] { p.Height, p.Width, p.Height, p.Width }), ("dilations", new long[] { d.Height, d.Width }), ("group", (long)groups));
    }

    /// <summary>[groups, kh, kw, c/groups, f/groups] as ONNX has it: [filters, c/groups, kh, kw].</summary>
    private static float[] FiltersFirst(float[] weights, Conv2dGeometry g)
    {
        var turned = new float[weights.Length];
        int taps = g.KernelHeight * g.KernelWidth;
        for (int group = 0; group < g.Groups; group++)
            for (int tap = 0; tap < taps; tap++)
                for (int c = 0; c < g.GroupChannels; c++)
                    for (int f = 0; f < g.GroupFilters; f++)
                        turned[((group * g.GroupFilters + f) * g.GroupChannels + c) * taps + tap] = weights[((group * taps + tap) * g.GroupChannels + c) * g.GroupFilters + f];
        return turned;
    }

    /// <summary>The inverse of <see cref="FiltersFirst"/>: weights as ONNX has them, [filters, channels / groups, height, width], as they lie here.</summary>
    public static float[] FiltersLast(float[] weights, int filters, int groupChannels, int taps, int groups)
    {
        var turned = new float[weights.Length];
        int groupFilters = filters / groups;
        for (int group = 0; group < groups; group++)
            for (int tap = 0; tap < taps; tap++)
                for (int c = 0; c < groupChannels; c++)
                    for (int f = 0; f < groupFilters; f++)
                        turned[((group * taps + tap) * groupChannels + c) * groupFilters + f] = weights[((group * groupFilters + f) * groupChannels + c) * taps + tap];
        return turned;
    }

    /// <summary>A filter for each channel and nothing else: no product, which would have one column.</summary>
    private static bool IsDepthwise(Conv2dGeometry g) => g.Groups > 1 && g.GroupChannels == 1 && g.GroupFilters == 1;

    private Conv2dGeometry Geometry(int batch, Shape input) => new(batch, input.Height, input.Width, input.Channels, filters, window, groups);
}
