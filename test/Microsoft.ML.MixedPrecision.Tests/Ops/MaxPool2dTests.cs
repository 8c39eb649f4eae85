namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class MaxPool2dTests
{
    private static readonly (int H, int W, int C, Size2d Kernel, Size2d Stride, Size2d Padding)[] s_cases =
    [
        (1, 1, 1, 1, 1, 0), (4, 6, 3, 2, 2, 0), (5, 7, 17, 2, 2, 0), (5, 5, 2, 3, 2, 1), (4, 5, 2, 3, 1, 1), (6, 5, 1, new(3, 2), new(2, 3), new(1, 0)), (4, 5, 8, 3, 1, 1),
    ];

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var (h, w, c, kernel, stride, padding) in s_cases)
        {
            var network = Network.Image(h, w, c, PixelOrder.Interleaved).MaxPool2d(kernel, stride, padding);
            // Values a hundredth apart: central differences never cross from one maximum to another.
            OpCheck.Run(row.Create(), network, v => Reference(v, h, w, c, Window2d.Of(kernel, stride, padding, 1)), batch: 2, input: Distinct(2 * h * w * c));
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_first_of_equal_maxima_takes_the_gradient_and_NaN_passes(BackendRow row)
    {
        using var session = new TrainingSession(PlanBuilder.Build(Network.Image(2, 4, 1).MaxPool2d(2),
            new PlanOptions(1, row.Precision, new PlantedGradient(), new Sgd()) { InputGradient = true, KeepAll = true }), row.Create());
        var batch = new Batch(1, 8, 2) { RowCount = 1 };
        new float[] { 1, 1, 0, float.NaN, 1, 1, 5, 6 }.CopyTo(batch.Features, 0);
        new float[] { 3, 4 }.CopyTo(batch.Values, 0);
        session.TrainPass(batch);
        CollectionAssert.AreEqual(new float[] { 3, 0, 0, 4, 0, 0, 0, 0 }, session.Read(session.Plan.InputGradient!));
        var y = session.Read(session.Plan.TrainOutputs[session.Plan.Layers[^1].Name]);
        Assert.AreEqual(1f, y[0]);
        Assert.IsTrue(float.IsNaN(y[1]));
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Each_of_eight_channels_has_its_own_first_maximum(BackendRow row)
    {
        const int Channels = 8, Pixels = 4;
        using var session = new TrainingSession(PlanBuilder.Build(Network.Image(2, 2, Channels, PixelOrder.Interleaved).MaxPool2d(2),
            new PlanOptions(1, row.Precision, new PlantedGradient(), new Sgd()) { InputGradient = true, KeepAll = true }), row.Create());
        var batch = new Batch(1, Pixels * Channels, Channels) { RowCount = 1 };
        var expected = new float[Pixels * Channels];
        for (int c = 0; c < Channels; c++)
        {
            for (int p = c % Pixels; p < Pixels; p++) batch.Features[p * Channels + c] = c == 5 ? float.NaN : 7; // all from the first on are equal
            batch.Values[c] = c + 1;
            expected[c % Pixels * Channels + c] = c + 1;
        }
        session.TrainPass(batch);
        CollectionAssert.AreEqual(expected, session.Read(session.Plan.InputGradient!));
    }

    /// <summary>Places beyond 2,048, the last whole number up to which a half has them all.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_place_far_inside_of_a_large_window_takes_the_gradient(BackendRow row)
    {
        const int Side = 48, Pixels = Side * Side;
        foreach (int place in (ReadOnlySpan<int>)[0, 1023, 1024, 2047, 2049, Pixels - 1])
        {
            using var session = new TrainingSession(PlanBuilder.Build(Network.Image(Side, Side, 1).MaxPool2d(Side),
                new PlanOptions(1, row.Precision, new PlantedGradient(), new Sgd()) { InputGradient = true, KeepAll = true }), row.Create());
            var batch = new Batch(1, Pixels, 1) { RowCount = 1 };
            var expected = new float[Pixels];
            (batch.Features[place], batch.Values[0], expected[place]) = (1, 3, 3);
            session.TrainPass(batch);
            CollectionAssert.AreEqual(expected, session.Read(session.Plan.InputGradient!), $"place {place}");
        }
    }

    [TestMethod]
    public void Winners_are_kept_only_where_backward_asks_for_them()
    {
        bool Kept(Network network, Func<ExecutionPlan, IReadOnlyList<PlanStep>> steps) =>
            steps(PlanBuilder.Build(network, new PlanOptions(2, Precision.Mixed, new SoftmaxCrossEntropy(), new Sgd()))).Any(step => step.Kernel.Writes.Any(tensor => tensor.Name.EndsWith("Winners", StringComparison.Ordinal)));
        var image = Network.Image(4, 4, 1);
        Assert.IsTrue(Kept(image.Conv2d(2, 3).MaxPool2d(2).Flatten().Linear(2), plan => plan.Train));
        Assert.IsFalse(Kept(image.Conv2d(2, 3).MaxPool2d(2).Flatten().Linear(2), plan => plan.Evaluate));
        Assert.IsFalse(Kept(image.MaxPool2d(2).Flatten().Linear(2), plan => plan.Train));
        Assert.IsFalse(Kept(image.Conv2d(2, 3).Freeze().MaxPool2d(2).Flatten().Linear(2), plan => plan.Train));
    }

    [TestMethod]
    public void Every_place_has_a_number_that_a_half_keeps()
    {
        float before = -1;
        for (int place = 0; place < Winner.MostPlaces; place++)
        {
            float number = Winner.At(place);
            Assert.IsTrue(number > before && float.IsFinite(number) && (float)(System.Half)number == number, $"{place}: {number}");
            before = number;
        }
    }

    [TestMethod]
    public void Exports()
    {
        foreach (var (h, w, c, kernel, stride, padding) in s_cases)
            ExportHarness.Run(new CpuBackend(Precision.Mixed), Network.Image(h, w, c).MaxPool2d(kernel, stride, padding).Flatten());
    }

    [TestMethod]
    public void The_stride_is_the_kernel_by_default() => Assert.AreEqual(Shape.Image(3, 2, 4), Network.Image(9, 7, 4).MaxPool2d(3).Shape);

    [TestMethod]
    public void Says_what_does_not_fit()
    {
        var e = Assert.ThrowsExactly<ArgumentException>(() => Network.Image(2, 2, 1).MaxPool2d(3, name: "p"));
        Assert.AreEqual("MaxPool2d 'p': expected a kernel that fits the input 2x2x1 with padding 0, got 3; use a smaller kernel or more padding.", e.Message);
        e = Assert.ThrowsExactly<ArgumentException>(() => Network.Vector(4).MaxPool2d(2, name: "p"));
        Assert.AreEqual("MaxPool2d 'p': expected an image [height, width, channels], got a vector 4; put it before Flatten().", e.Message);
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Image(4, 4, 1).MaxPool2d(2, padding: 2));
        e = Assert.ThrowsExactly<ArgumentException>(() => Network.Image(179, 179, 1).MaxPool2d(179, name: "p"));
        Assert.AreEqual("MaxPool2d 'p': expected a kernel of at most 31744 pixels, got 179; pool twice, with smaller kernels.", e.Message);
    }

    internal static float[] Distinct(int length)
    {
        var order = Enumerable.Range(0, length).ToArray();
        new Random(3).Shuffle(order);
        return [.. order.Select(i => i / 128f)]; // exact in half precision up to 16
    }

    private static double[] Reference(OpValues v, int h, int w, int c, Window2d window)
    {
        int oh = window.OutHeight(h), ow = window.OutWidth(w);
        var y = new double[v.Batch * oh * ow * c];
        for (int i = 0; i < y.Length; i++)
        {
            int channel = i % c, ox = i / c % ow, oy = i / c / ow % oh, n = i / c / ow / oh;
            double max = double.NegativeInfinity;
            for (int ky = 0; ky < window.Kernel.Height; ky++)
            {
                for (int kx = 0; kx < window.Kernel.Width; kx++)
                {
                    int row = oy * window.Stride.Height - window.Padding.Height + ky, column = ox * window.Stride.Width - window.Padding.Width + kx;
                    if (row >= 0 && column >= 0 && row < h && column < w) max = Math.Max(max, v.Input[((n * h + row) * w + column) * c + channel]);
                }
            }
            y[i] = max;
        }
        return y;
    }
}
