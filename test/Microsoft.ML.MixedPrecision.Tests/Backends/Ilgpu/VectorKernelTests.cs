namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Kernels that work in vectors, rows and parts, against the CPU's of the same name: with and without tails, over one part and many.</summary>
[TestClass]
public sealed class VectorKernelTests
{
    private const int ValidExamples = 2; // of 3

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Statistics_of_channels_match_the_CPU(BackendRow row)
    {
        foreach (var (pixels, channels) in ((int, int)[])[(1, 8), (3, 5), (150, 24), (2200, 8)])
        {
            Tensor x = Working("x", 3, pixels, channels), mean = Single("mean", channels), inverse = Single("inverse", channels);
            Tensor parts = Single("parts", ChannelParts.Count(x), 2, channels), runningMean = Single("runningMean", channels), runningVariance = Single("runningVariance", channels);
            var counters = new Tensor("counters", ElementType.Int32, Region.Staging, StepControl.Rows + 64);
            Compare(row, () => new BatchNormStatistics(x, parts, mean, inverse, runningMean, runningVariance, counters, 1e-5f, 0.1f),
                [x, counters, runningMean, runningVariance, parts], [mean, inverse, runningMean, runningVariance], 2e-4f, offset: 100f);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Gradients_of_channels_match_the_CPU(BackendRow row)
    {
        foreach (var (pixels, channels) in ((int, int)[])[(1, 8), (3, 5), (150, 24), (2200, 8)])
        {
            Tensor x = Working("x", 3, pixels, channels), dy = Working("dy", 3, pixels, channels), dx = Working("dx", 3, pixels, channels);
            Tensor mean = Single("mean", channels), inverse = Single("inverse", channels), sums = Single("sums", 2, channels), parts = Single("parts", ChannelParts.Count(x), 2, channels);
            Tensor weight = Working("weight", channels), dw = Working("dw", channels), db = Working("db", channels);
            var counters = new Tensor("counters", ElementType.Int32, Region.Staging, StepControl.Rows + 64);
            Compare(row, () => new BatchNormSums(x, dy, mean, inverse, parts, sums, dw, db, counters), [x, dy, mean, inverse, counters, parts], [sums, dw, db], 2e-3f);
            Compare(row, () => new BatchNormBackward(x, dy, mean, inverse, sums, weight, dx, counters), [x, dy, mean, inverse, sums, weight, counters], [dx], 1e-3f);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Rows_match_the_CPU(BackendRow row)
    {
        foreach (var (count, width) in ((int, int)[])[(1, 1), (5, 7), (3, 8), (9, 24), (2, 67), (3, 520), (70, 2)])
        {
            Tensor x = Working("x", count, width), y = Working("y", count, width), dy = Working("dy", count, width), dx = Working("dx", count, width);
            Tensor weight = Working("weight", width), bias = Working("bias", width), statistics = Single("statistics", 2, count), means = Single("means", 2, count);
            Tensor dw = Working("dw", width), db = Working("db", width), parts = Single("parts", 1, 2, width);
            Compare(row, () => new SoftmaxForward(x, y), [x], [y], 1e-3f);
            Compare(row, () => new SoftmaxBackward(y, dy, dx), [y, dy], [dx], 2e-3f);
            Compare(row, () => new LayerNormForward(x, weight, bias, y, statistics, 1e-5f), [x, weight, bias], [y, statistics], 4e-3f);
            Compare(row, () => new LayerNormBackward(x, dy, weight, statistics, means, dx), [x, dy, weight, statistics, means], [dx], 4e-3f);
            Compare(row, () => new LayerNormWeightGradient(x, dy, statistics, parts, dw, db), [x, dy, statistics, parts], [dw, db], 4e-3f);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Weight_gradients_of_many_rows_match_the_CPU(BackendRow row)
    {
        const int Rows = 4500; // 18 parts: joined by groups
        foreach (int width in (int[])[3, 8])
        {
            Tensor x = Working("x", Rows, width), dy = Working("dy", Rows, width), statistics = Single("statistics", 2, Rows);
            Tensor dw = Working("dw", width), db = Working("db", width), parts = Single("parts", new RowParts(Rows).Count, 2, width);
            Compare(row, () => new LayerNormWeightGradient(x, dy, statistics, parts, dw, db), [x, dy, statistics, parts], [dw, db], 4e-3f);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Pooling_of_eight_channels_matches_the_CPU(BackendRow row)
    {
        foreach (int channels in (int[])[3, 16])
        {
            var window = new Window2d(3, 2, 1, 1);
            Tensor x = Working("image", 2, 5, 4, channels), y = Working("y", 2, 3, 2, channels), dy = Working("dy", 2, 3, 2, channels), dx = Working("dx", 2, 5, 4, channels);
            Compare(row, () => new MaxPool2dForward(x, y, window), [x], [y], 1e-3f);
            Compare(row, () => new AvgPool2dForward(x, y, window, countIncludePad: false), [x], [y], 1e-3f);
            Compare(row, () => new AvgPool2dBackward(dy, dx, window, countIncludePad: false), [dy], [dx], 2e-3f);
        }
    }

    [TestMethod]
    public void Parts_are_enough_to_fill_a_GPU_and_no_more()
    {
        Assert.AreEqual(1, new RowParts(1).Count);
        Assert.AreEqual(256, new RowParts(256 * 2048).RowsPerPart);
        Assert.AreEqual(2048, new RowParts(256 * 2048).Count);
        Assert.AreEqual(512, new RowParts(256 * 2048 + 1).RowsPerPart);
        Assert.AreEqual(1025, new RowParts(256 * 2048 + 1).Count);
    }

    private static Tensor Working(string name, params ReadOnlySpan<int> dimensions) => new(name, ElementType.Working, Region.Activations, dimensions);

    private static Tensor Single(string name, params ReadOnlySpan<int> dimensions) => new(name, ElementType.Single, Region.Activations, dimensions);

    /// <param name="inputs">Filled with the same numbers on both.</param>
    /// <param name="outputs">Must agree within the tolerance, relative to the largest.</param>
    private static void Compare(BackendRow row, Func<Kernel> kernel, Tensor[] inputs, Tensor[] outputs, float tolerance, float offset = 0f)
    {
        using var expectedOn = new CpuBackend(row.Precision);
        using var actualOn = row.Create();
        var expected = Run(expectedOn, kernel(), inputs, outputs, offset);
        var actual = Run(actualOn, kernel(), inputs, outputs, offset);
        for (int o = 0; o < outputs.Length; o++)
        {
            float largest = Math.Max(expected[o].Max(Math.Abs), 1e-3f);
            for (int i = 0; i < expected[o].Length; i++)
                Assert.AreEqual(expected[o][i], actual[o][i], tolerance * largest, $"{kernel().Name}, {outputs[o]}, element {i}");
        }
    }

    private static float[][] Run(Backend backend, Kernel kernel, Tensor[] inputs, Tensor[] outputs, float offset)
    {
        var regions = inputs.Union(outputs).GroupBy(t => t.Region);
        backend.Allocate(regions.ToDictionary(g => g.Key, g => MemoryPlanner.PlaceInOrder([.. g], t => t.Length * backend.SizeOf(t.Element))));
        var random = new Random(5);
        foreach (var tensor in inputs)
        {
            if (tensor.Element == ElementType.Int32)
            {
                var counters = new int[tensor.Length];
                counters[StepControl.Rows] = ValidExamples;
                backend.Upload(tensor, counters);
                continue;
            }
            var values = new float[tensor.Length];
            for (int i = 0; i < values.Length; i++) values[i] = (float)random.NextDouble() - 0.4f + (tensor.Name == "x" ? offset : 0f);
            backend.Upload(tensor, values);
        }
        backend.Bind(kernel)();
        return [.. outputs.Select(tensor =>
        {
            var values = new float[tensor.Length];
            backend.Download(tensor, values);
            return values;
        })];
    }
}
