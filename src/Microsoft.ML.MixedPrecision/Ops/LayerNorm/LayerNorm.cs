namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// Layer normalization as PyTorch's LayerNorm over the whole shape of an example, or over the features of each position of a sequence: all elements of a vector, an
    /// image or a position are brought to mean 0 and variance 1, then each is scaled by a weight of its own that starts at 1 and moved by a bias that
    /// starts at 0: y = (x - mean) / sqrt(variance + eps) * weight + bias (Ba, Kiros and Hinton, 2016). The same in training
    /// and inference; statistics FP32, the variance divided by the number of elements.
    /// </summary>
    /// <param name="eps">Added to the variance; 1e-5 by default, above 0.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="eps"/> is outside its range.</exception>
    public Network LayerNorm(float eps = 1e-5f, string? name = null)
    {
        if (!(eps > 0f && float.IsFinite(eps))) throw new ArgumentOutOfRangeException(nameof(eps), eps, "Expected a finite value above 0.");
        return Apply(new LayerNorm(eps), name);
    }
}

/// <summary>
/// With xhat = (x - mean) / sqrt(variance + eps) over a row, and g = dy weight: y = xhat weight + bias;
/// dx = (g - mean(g) - xhat mean(g xhat)) / sqrt(variance + eps); d weight = sum over rows of dy xhat; d bias = sum over rows of dy.
/// </summary>
internal sealed class LayerNorm(float eps) : Op
{
    private const int Weight = 0, Bias = 1; // in the order of Parameters

    public override string Kind => "LayerNorm";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0];

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) =>
    [
        new("Weight", new Initializer.Constant(1f), Normalized(inputs[0])),
        new("Bias", new Initializer.Constant(0f), Normalized(inputs[0])),
    ];

    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        int rows = Rows(pass.Batch, pass.OutputShape);
        var statistics = pass.New("Statistics", ElementType.Single, 2, rows);
        pass.Save(statistics);
        pass.Run(new LayerNormForward(ByRow(pass.Input(0), rows), pass.Weight(Weight), pass.Weight(Bias), ByRow(y, rows), statistics, eps));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        int rows = Rows(pass.Batch, pass.OutputShape), size = pass.Batch * pass.OutputShape.Size / rows;
        var (x, dy, statistics) = (ByRow(pass.Input(0), rows), ByRow(pass.OutputGradient, rows), pass.Saved[0]);
        var parts = pass.New("WeightGradientParts", ElementType.Single, RowParts.Of(rows, size).Count, 2, size);
        pass.Run(new LayerNormWeightGradient(x, dy, statistics, parts, pass.WeightGradient(Weight), pass.WeightGradient(Bias)));
        if (!pass.NeedsInputGradient(0)) return;
        var means = pass.New("GradientMeans", ElementType.Single, 2, rows);
        pass.Run(new LayerNormBackward(x, dy, pass.Weight(Weight), statistics, means, ByRow(pass.NewInputGradient(0), rows)));
    }

    /// <summary>What is normalized together.</summary>
    private static int[] Normalized(Shape shape) => shape.IsSequence ? [shape.Channels] : [.. shape.Dimensions];

    /// <summary>How many of them a batch has.</summary>
    private static int Rows(int batch, Shape shape) => shape.IsSequence ? batch * shape.Length : batch;

    private static Tensor ByRow(Tensor tensor, int rows) => tensor.Reshape(rows, (int)(tensor.Length / rows));

    public override string Export(OnnxScope scope)
    {
        // In FP32, as here. Weight and bias are NHWC, the graph's images NCHW.
        var (g, shape) = (scope.Graph, scope.OutputShape);
        int[] dimensions = shape.IsImage ? [shape.Channels, shape.Height, shape.Width] : [shape.Channels];
        string y = scope.Node("LayerNormalization",
            [g.ToSingle(scope.Input(0), $"{scope.Name}.x"), g.Single($"{scope.Name}.Weight", Values(Weight), dimensions), g.Single($"{scope.Name}.Bias", Values(Bias), dimensions)],
            ("axis", (long)-dimensions.Length), ("epsilon", eps));
        return g.ToWorking(y, $"{scope.Name}.y");

        float[] Values(int parameter)
        {
            var values = scope.ParameterValues(parameter);
            if (g.Precision == OnnxPrecision.Half) values = [.. values.Select(v => (float)(Half)v)]; // as the training forward pass reads them
            if (!shape.IsImage) return values;
            int pixels = shape.Height * shape.Width;
            return [.. Enumerable.Range(0, values.Length).Select(i => values[i % pixels * shape.Channels + i / pixels])];
        }
    }
}

/// <summary>x [rows, size]. Also statistics [2, rows]: the mean of each row, and 1 / sqrt(variance + eps). Two passes over a row; sums FP32.</summary>
internal sealed partial class LayerNormForward(Tensor x, Tensor weight, Tensor bias, Tensor y, Tensor statistics, float eps) : Kernel
{
    public override string Name => "LayerNorm.Forward";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, weight, bias];
    public override IReadOnlyList<Tensor> Writes { get; } = [y, statistics];

    private int Size => (int)(x.Length / x.Dimensions[0]);
}

/// <summary>dx, row by row. means [2, rows]: of g and of g xhat in each row, FP32, for a GPU, where a row is many threads' work.</summary>
internal sealed partial class LayerNormBackward(Tensor x, Tensor dy, Tensor weight, Tensor statistics, Tensor means, Tensor dx) : Kernel
{
    public override string Name => "LayerNorm.Backward";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, dy, weight, statistics];
    public override IReadOnlyList<Tensor> Writes { get; } = [means, dx];

    private int Size => (int)(x.Length / x.Dimensions[0]);
}

/// <summary>d weight and d bias, element by element, over the rows in their order.</summary>
internal sealed partial class LayerNormWeightGradient(Tensor x, Tensor dy, Tensor statistics, Tensor parts, Tensor weightGradient, Tensor biasGradient) : Kernel
{
    public override string Name => "LayerNorm.WeightGradient";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, dy, statistics];
    public override IReadOnlyList<Tensor> Writes { get; } = [parts, weightGradient, biasGradient];

    private int Size => (int)(x.Length / x.Dimensions[0]);
}
