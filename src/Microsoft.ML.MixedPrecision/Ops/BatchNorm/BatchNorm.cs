namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// Batch normalization as PyTorch's BatchNorm1d and BatchNorm2d: each element of a vector, or each channel of an image, is
    /// brought to mean 0 and variance 1 over the batch (and the pixels), then scaled by a weight that starts at 1 and moved by
    /// a bias that starts at 0: y = (x - mean) / sqrt(variance + eps) * weight + bias (Ioffe and Szegedy, 2015). Training takes
    /// the batch's statistics, in FP32, the variance divided by n, and keeps running ones, the variance divided by n - 1;
    /// inference takes those. They move once for each training pass, also where the update is skipped afterwards, as in
    /// PyTorch; but what is not finite never enters them: where a channel overflowed, its running statistics stay as they were.
    /// A batch of one vector has variance 0 and becomes the bias (PyTorch refuses it), and moves the running variance towards 0.
    /// Rows that only fill up the last batch count nowhere.
    /// </summary>
    /// <param name="eps">Added to the variance; 1e-5 by default, above 0.</param>
    /// <param name="momentum">The share of the batch in the running statistics; 0.1 by default, from 0 to 1.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public Network BatchNorm(float eps = 1e-5f, float momentum = 0.1f, string? name = null)
    {
        if (!(eps > 0f && float.IsFinite(eps))) throw new ArgumentOutOfRangeException(nameof(eps), eps, "Expected a finite value above 0.");
        if (!(momentum >= 0f && momentum <= 1f)) throw new ArgumentOutOfRangeException(nameof(momentum), momentum, "Expected a value from 0 to 1.");
        return Apply(new BatchNorm(eps, momentum), name);
    }
}

/// <summary>
/// With n valid rows and xhat = (x - mean) / sqrt(variance + eps): y = xhat weight + bias; d bias = sum dy; d weight = sum dy xhat;
/// dx = weight / sqrt(variance + eps) (dy - d bias / n - xhat d weight / n). All sums FP32, in parts fixed by the shape.
/// </summary>
internal sealed class BatchNorm(float eps, float momentum) : Op
{
    private const int Weight = 0, Bias = 1;               // in the order of Parameters
    private const int RunningMean = 0, RunningVariance = 1; // in the order of Buffers
    private const int Mean = 0, InverseDeviation = 1;     // in the order of saving

    public override string Kind => "BatchNorm";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0];

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) =>
    [
        new("Weight", new Initializer.Constant(1f), inputs[0].Channels),
        new("Bias", new Initializer.Constant(0f), inputs[0].Channels),
    ];

    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) =>
        [new("RunningMean", 0f, inputs[0].Channels), new("RunningVariance", 1f, inputs[0].Channels)];

    public override Tensor Forward(ForwardPass pass)
    {
        var (x, y) = (pass.Input(0), pass.NewOutput());
        int channels = pass.OutputShape.Channels;
        var mean = pass.New("Mean", ElementType.Single, channels);
        var inverse = pass.New("InverseDeviation", ElementType.Single, channels);
        if (pass.Training)
        {
            var parts = pass.New("StatisticsParts", ElementType.Single, ColumnReader.MostParts(x), 2, channels);
            pass.Run(new BatchNormStatistics(x, parts, mean, inverse, pass.Buffer(RunningMean), pass.Buffer(RunningVariance), pass.Counters, eps, momentum));
        }
        else
        {
            pass.Run(new BatchNormRunning(pass.Buffer(RunningMean), pass.Buffer(RunningVariance), mean, inverse, eps));
        }
        pass.Save(mean);
        pass.Save(inverse);
        pass.Run(new BatchNormForward(x, mean, inverse, pass.Weight(Weight), pass.Weight(Bias), y, pass.Counters));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        var (x, dy) = (pass.Input(0), pass.OutputGradient);
        int channels = pass.OutputShape.Channels;
        var (mean, inverse) = (pass.Saved[Mean], pass.Saved[InverseDeviation]);
        var parts = pass.New("GradientParts", ElementType.Single, ChannelParts.Most(x), 2, channels);
        var sums = pass.New("GradientSums", ElementType.Single, 2, channels);
        pass.Run(new BatchNormSums(x, dy, mean, inverse, parts, sums, pass.WeightGradient(Weight), pass.WeightGradient(Bias), pass.Counters));
        if (pass.NeedsInputGradient(0)) pass.Run(new BatchNormBackward(x, dy, mean, inverse, sums, pass.Weight(Weight), pass.NewInputGradient(0), pass.Counters));
    }

    public override string Export(OnnxScope scope)
    {
        // The running statistics stay FP32: a variance above 65504 would become infinite as a half, and zero the output unseen.
        var g = scope.Graph;
        bool turn = scope.OutputShape.IsSequence; // ONNX wants channels second
        string x = g.ToSingle(turn ? g.TurnSequence(scope.Input(0), $"{scope.Name}.turned") : scope.Input(0), $"{scope.Name}.x");
        string y = scope.Node("BatchNormalization",
            [x, g.Single($"{scope.Name}.Weight", Rounded(scope, Weight), scope.OutputShape.Channels), g.Single($"{scope.Name}.Bias", Rounded(scope, Bias), scope.OutputShape.Channels),
             g.Single($"{scope.Name}.RunningMean", scope.BufferValues(RunningMean), scope.OutputShape.Channels),
             g.Single($"{scope.Name}.RunningVariance", scope.BufferValues(RunningVariance), scope.OutputShape.Channels)], ("epsilon", eps));
        y = g.ToWorking(y, $"{scope.Name}.y");
        return turn ? g.TurnSequence(y, $"{scope.Name}.back") : y;
    }

    /// <summary>As the training forward pass reads them: the half copies, where the model is half.</summary>
    private static float[] Rounded(OnnxScope scope, int parameter) => scope.Graph.Precision == OnnxPrecision.Half
        ? [.. scope.ParameterValues(parameter).Select(v => (float)(Half)v)]
        : scope.ParameterValues(parameter);
}

/// <summary>How the rows of [..., channels] are cut for reductions over them on the CPU: by the shape alone. A GPU has <see cref="RowParts"/>.</summary>
internal static class ChannelParts
{
    public const int RowsPerPart = 256;

    public static int Rows(Tensor x) => (int)(x.Length / x.Dimensions[^1]);

    public static int Count(Tensor x) => (Rows(x) + RowsPerPart - 1) / RowsPerPart;

    /// <summary>Parts of which there must be room: the CPU's, or a GPU's.</summary>
    public static int Most(Tensor x) => Math.Max(Count(x), RowParts.Of(Rows(x), x.Dimensions[^1]).Count);

    /// <summary>Rows of one example: the pixels of an image, 1 for a vector.</summary>
    public static int RowsOfExample(Tensor x) => Rows(x) / x.Dimensions[0];

    /// <summary>Of those the CPU works on some, as floats: 2,048 are 8 KB, so that what is read and what is written lies in L1.</summary>
    public static int RowsAtOnce(int channels) => Math.Max(1, 2048 / channels);

    /// <summary>Of some rows the first ones, in which 16 channels from <paramref name="channel"/> on end before the last row does.</summary>
    public static int WholeStores(int rows, int channels, int channel) => Math.Clamp((rows * channels - channel - CpuVector.Width + channels) / channels, 0, rows);
}

/// <summary>
/// x -> mean and 1 / sqrt(variance + eps) over the valid rows, and the running statistics moved. E[x^2] - E[x]^2 would cancel in FP32:
/// each part is read once and summed about its first row x0, which is of the data's own size, as x - x0 and its square. What cancels there is n
/// (mean - x0)^2, and x0 alone makes the sum of squared deviations at least (mean - x0)^2: 8 bits of 24 for a part of 256 rows, at worst.
/// parts: [parts, 2, channels], the mean and the sum of squared deviations of each.
/// </summary>
internal sealed partial class BatchNormStatistics(
    Tensor x, Tensor parts, Tensor mean, Tensor inverse, Tensor runningMean, Tensor runningVariance, Tensor counters, float eps, float momentum) : ColumnReader
{
    public override string Name => "BatchNorm.Statistics";
    public override Tensor From => x;
    public override Tensor Parts => parts;
    public override IReadOnlyList<Tensor> SumsRead { get; } = [counters]; // how many rows are valid
    public override IReadOnlyList<Tensor> Reads { get; } = [x, counters, runningMean, runningVariance];
    public override IReadOnlyList<Tensor> Writes { get; } = [parts, mean, inverse, runningMean, runningVariance];
}

/// <summary>The running statistics in the form that the forward kernel takes.</summary>
internal sealed partial class BatchNormRunning(Tensor runningMean, Tensor runningVariance, Tensor mean, Tensor inverse, float eps) : Kernel
{
    public override string Name => "BatchNorm.Running";
    public override IReadOnlyList<Tensor> Reads { get; } = [runningMean, runningVariance];
    public override IReadOnlyList<Tensor> Writes { get; } = [mean, inverse];
}

/// <summary>
/// y = (x - mean) (inverse weight) + bias, channel by channel, for the valid rows. 0 for padding: far from the mean it could
/// overflow, and infinity times its gradient of 0 is NaN in the next layer's weights.
/// </summary>
internal sealed partial class BatchNormForward(
    Tensor x, Tensor mean, Tensor inverse, Tensor weight, Tensor bias, Tensor y, Tensor counters, ElementKernel? next = null) : Kernel
{
    private readonly ElementKernel? _next = next;

    public override string Name { get; } = next is null ? "BatchNorm.Forward" : $"BatchNorm.Forward + {next.Name}";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, mean, inverse, weight, bias, counters, .. next?.OthersRead ?? []];
    public override IReadOnlyList<Tensor> Writes { get; } = [y];

    public override Kernel? Then(ElementKernel following) => _next is null && following.From == y
        ? new BatchNormForward(x, mean, inverse, weight, bias, following.To, counters, following)
        : null;
}

/// <summary>Over the valid rows: sums[0] = sum dy = d bias, sums[1] = sum dy xhat = d weight. parts: [parts, 2, channels].</summary>
internal sealed partial class BatchNormSums(
    Tensor x, Tensor dy, Tensor mean, Tensor inverse, Tensor parts, Tensor sums, Tensor weightGradient, Tensor biasGradient, Tensor counters) : Kernel
{
    public override string Name => "BatchNorm.Sums";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, dy, mean, inverse, counters];
    public override IReadOnlyList<Tensor> Writes { get; } = [parts, sums, weightGradient, biasGradient];
}

/// <summary>dx = weight inverse (dy - sums[0] / n - xhat sums[1] / n) for the valid rows, 0 for padding.</summary>
internal sealed partial class BatchNormBackward(
    Tensor x, Tensor dy, Tensor mean, Tensor inverse, Tensor sums, Tensor weight, Tensor dx, Tensor counters) : Kernel
{
    public override string Name => "BatchNorm.Backward";
    public override IReadOnlyList<Tensor> Reads { get; } = [x, dy, mean, inverse, sums, weight, counters];
    public override IReadOnlyList<Tensor> Writes { get; } = [dx];
}
