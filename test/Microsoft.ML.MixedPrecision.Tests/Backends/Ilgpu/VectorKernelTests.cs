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
            Tensor parts = Single("parts", ColumnReader.MostParts(x), 2, channels), runningMean = Single("runningMean", channels), runningVariance = Single("runningVariance", channels);
            var counters = new Tensor("counters", ElementType.Int32, Region.Staging, StepControl.Rows + 64);
            Compare(row, () => new BatchNormStatistics(x, parts, mean, inverse, runningMean, runningVariance, counters, 1e-5f, 0.1f),
                [x, counters, runningMean, runningVariance, parts], [mean, inverse, runningMean, runningVariance], 2e-4f, offset: 100f);
        }
    }

    /// <summary>Parts are joined about the mean of the first, which here is as far from all others as they are from 0.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Statistics_do_not_hang_on_the_first_part(BackendRow row)
    {
        const int Pixels = 4500, Channels = 8; // of two examples 18 parts: joined by groups
        Tensor x = Working("x", 3, Pixels, Channels), mean = Single("mean", Channels), inverse = Single("inverse", Channels);
        var cut = RowParts.Of(3 * Pixels, Channels);
        Assert.IsGreaterThan(16, 2 * Pixels / cut.RowsPerPart);
        Tensor parts = Single("parts", ColumnReader.MostParts(x), 2, Channels), runningMean = Single("runningMean", Channels), runningVariance = Single("runningVariance", Channels);
        var counters = new Tensor("counters", ElementType.Int32, Region.Staging, StepControl.Rows + 64);
        Compare(row, () => new BatchNormStatistics(x, parts, mean, inverse, runningMean, runningVariance, counters, 1e-5f, 0.1f),
            [x, counters, runningMean, runningVariance, parts], [mean, inverse, runningMean, runningVariance], 2e-4f, offset: 100f, zeros: cut.RowsPerPart * Channels);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Gradients_of_channels_match_the_CPU(BackendRow row)
    {
        foreach (var (pixels, channels) in ((int, int)[])[(1, 8), (3, 5), (150, 24), (2200, 8), (2, 520)])
        {
            Tensor x = Working("x", 3, pixels, channels), dy = Working("dy", 3, pixels, channels), dx = Working("dx", 3, pixels, channels);
            Tensor mean = Single("mean", channels), inverse = Single("inverse", channels), sums = Single("sums", 2, channels), parts = Single("parts", ColumnReader.MostParts(x), 2, channels);
            Tensor weight = Working("weight", channels), dw = Working("dw", channels), db = Working("db", channels);
            var counters = new Tensor("counters", ElementType.Int32, Region.Staging, StepControl.Rows + 64);
            Compare(row, () => new BatchNormSums(x, dy, mean, inverse, parts, sums, dw, db, counters), [x, dy, mean, inverse, counters, parts], [sums, dw, db], 2e-3f);
            Compare(row, () => new BatchNormBackward(x, dy, mean, inverse, sums, weight, dx, counters), [x, dy, mean, inverse, sums, weight, counters], [dx], 1e-3f);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Rows_match_the_CPU(BackendRow row)
    {
        foreach (var (count, width) in ((int, int)[])[(1, 1), (5, 7), (3, 8), (9, 24), (2, 67), (3, 520), (70, 2), (9, 64), (5, 264), (3, 1024), (2, 2600), (2, 301)])
        {
            Tensor x = Working("x", count, width), y = Working("y", count, width), dy = Working("dy", count, width), dx = Working("dx", count, width);
            Tensor weight = Working("weight", width), bias = Working("bias", width), statistics = Single("statistics", 2, count), means = Single("means", 2, count);
            Tensor dw = Working("dw", width), db = Working("db", width), parts = Single("parts", RowParts.Of(count, width).Count, 2, width);
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
        foreach (var (rows, width) in ((int, int)[])[(4500, 3), (9000, 8), (550, 600)]) // 18 and more parts: joined by groups, of one column and of four
        {
            Assert.IsGreaterThan(16, RowParts.Of(rows, width).Count);
            Tensor x = Working("x", rows, width), dy = Working("dy", rows, width), statistics = Single("statistics", 2, rows);
            Tensor dw = Working("dw", width), db = Working("db", width), parts = Single("parts", RowParts.Of(rows, width).Count, 2, width);
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
            Compare(row, () => new MaxPool2dForward(x, y, winners: null, window), [x], [y], 1e-3f);
            Compare(row, () => new AvgPool2dForward(x, y, window, countIncludePad: false), [x], [y], 1e-3f);
            Compare(row, () => new AvgPool2dBackward(dy, dx, window, countIncludePad: false), [dy], [dx], 2e-3f);
        }
    }

    [TestMethod]
    public void Parts_are_enough_to_fill_a_GPU_and_no_more()
    {
        Assert.AreEqual(1, RowParts.Of(1, 1).Count);
        Assert.AreEqual(new RowParts(65536, 256), RowParts.Of(65536, 16)); // two threads across, 32 lines of eight rows
        Assert.AreEqual(new RowParts(4096, 64), RowParts.Of(4096, 64));
        Assert.AreEqual(new RowParts(512, 32), RowParts.Of(512, 4096)); // no shorter, though a line is all
        Assert.AreEqual(new RowParts(1 << 20, 13 * 64), RowParts.Of(1 << 20, 64)); // 12 times 64 rows are 1,366 parts
        Assert.AreEqual(1261, RowParts.Of(1 << 20, 64).Count);
        Assert.AreEqual(512, RowParts.Of(65536, 1024).Count); // of two groups each
        Assert.AreEqual(RowParts.Of(5000, 9), RowParts.Of(5000, 72, together: 9)); // one column at a time
    }

    [TestMethod]
    public void A_row_has_four_vectors_to_a_lane_where_that_leaves_eight_lanes()
    {
        foreach (var (vectors, lanes) in ((int, int)[])[(1, 1), (2, 2), (3, 4), (8, 8), (32, 8), (33, 16), (64, 16), (125, 32), (128, 32), (129, 64), (256, 64), (4096, 64)])
            Assert.AreEqual(lanes, RowLanes.Of(10, vectors * Vector8.Width, Vector8.Width).Lanes, $"{vectors} vectors");
        Assert.AreEqual(5, RowLanes.Of(10, 1024, Vector8.Width).Groups);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void A_NaN_shows_in_its_whole_row_and_in_no_other(BackendRow row)
    {
        foreach (int width in (int[])[10, 64, 1024, 2600])
        {
            foreach (int spoilt in (int[])[0, width / 2, width - 1])
            {
                using var run = new ProductRun(row.Create());
                Tensor x = run.Filled("x", 3, width), y = run.Filled("y", 3, width);
                run.Write(x, i => i == width + spoilt ? float.NaN : i % 7);
                run.Execute(new SoftmaxForward(x, y));
                float[] values = run.Read(y);
                for (int i = 0; i < values.Length; i++) Assert.AreEqual(i / width == 1, float.IsNaN(values[i]), $"width {width}, NaN at {spoilt}, element {i}");
            }
        }
    }

    private static Tensor Working(string name, params ReadOnlySpan<int> dimensions) => new(name, ElementType.Working, Region.Activations, dimensions);

    private static Tensor Single(string name, params ReadOnlySpan<int> dimensions) => new(name, ElementType.Single, Region.Activations, dimensions);

    /// <param name="inputs">Filled with the same numbers on both.</param>
    /// <param name="outputs">Must agree within the tolerance, relative to the largest.</param>
    /// <param name="offset">Added to all of x.</param>
    /// <param name="zeros">The first elements of x, which are 0.</param>
    private static void Compare(BackendRow row, Func<Kernel> kernel, Tensor[] inputs, Tensor[] outputs, float tolerance, float offset = 0f, int zeros = 0)
    {
        using var expectedOn = new CpuBackend(row.Precision);
        using var actualOn = row.Create();
        var expected = Run(expectedOn, kernel(), inputs, outputs, offset, zeros);
        var actual = Run(actualOn, kernel(), inputs, outputs, offset, zeros);
        for (int o = 0; o < outputs.Length; o++)
        {
            float largest = Math.Max(expected[o].Max(Math.Abs), 1e-3f);
            for (int i = 0; i < expected[o].Length; i++)
                Assert.AreEqual(expected[o][i], actual[o][i], tolerance * largest, $"{kernel().Name}, {outputs[o]}, element {i}");
        }
    }

    private static float[][] Run(Backend backend, Kernel kernel, Tensor[] inputs, Tensor[] outputs, float offset, int zeros)
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
            if (tensor.Name == "x") values.AsSpan(0, zeros).Clear();
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
