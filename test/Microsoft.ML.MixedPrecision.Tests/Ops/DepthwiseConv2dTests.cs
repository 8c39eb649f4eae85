namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>A convolution with a group for each channel: kernels of its own.</summary>
[TestClass, TestCategory("VectorWidth")]
public sealed class DepthwiseConv2dTests
{
    /// <summary>Channels around one and two vectors, more pixels than a part of a sum has, rows of 1 to 9 pixels, strides with and without a rest, dilation, more padding than taps.</summary>
    private static readonly (Size2d Image, int Channels, Window2d Window)[] s_shapes =
    [
        (new(1, 1), 2, new(1, 1, 0, 1)),
        (new(5, 3), 15, new(3, 1, 1, 1)),
        (new(4, 7), 16, new(3, 1, 1, 1)),
        (new(7, 5), 17, new(3, 2, 1, 1)),
        (new(6, 9), 33, new(new(2, 3), new(1, 2), new(1, 0), 1)),
        (new(9, 8), 3, new(new(3, 2), new(2, 3), new(2, 1), new(2, 3))),
        (new(3, 4), 5, new(2, 1, 3, 1)),
        (new(7, 6), 19, new(1, 3, 0, 1)),
        (new(13, 12), 8, new(3, 1, 1, 1)),
    ];

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var g in Geometries(batch: 2))
            OpCheck.Run(row.Create(), Layer(g), v => Conv2dTests.Reference(g with { Batch = v.Batch }, v.Input, v.Parameters[0], v.Parameters[1]), g.Batch);
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Gives_the_bits_of_a_product_for_each_group_and_of_any_number_of_threads(Precision precision)
    {
        foreach (var g in Geometries(batch: 3).Append(new(5, 23, 29, 19, 19, new(3, 1, 1, 1), 19)))
        {
            var own = Bits(g, precision, 1, products: false);
            foreach (int threads in new[] { 2, 3 }) AssertSame(own, Bits(g, precision, threads, products: false), own.Keys, $"{g}, {threads} threads");
            // The weight gradient sums in parts of the rows, and the product in parts of its own.
            AssertSame(own, Bits(g, precision, 1, products: true), ["output", "input gradient"], $"{g}, products");
        }
    }

    [TestMethod]
    public void Counts_its_operations()
    {
        var g = Geometries(batch: 2).ElementAt(3);
        var plan = Plan(g, Precision.Mixed);
        long[] counted = [.. plan.Train.Select(step => step.Kernel).OfType<DepthwiseConv2d>().Select(kernel => kernel.FloatingPointOperations)];
        CollectionAssert.AreEqual(Enumerable.Repeat(2L * 2 * 4 * 3 * 17 * 9, 3).ToArray(), counted);
    }

    /// <summary>The same work as products, one for each channel.</summary>
    private static MatrixProduct Products(DepthwiseConv2d kernel, Conv2dGeometry g)
    {
        var (from, with, to) = (kernel.Reads[0], kernel.Reads[1], kernel.Writes[0]);
        DenseOperand Filters(Tensor t) => new(t, g.Patch, 1, 0, 1, Transposed: false, Step: g.GroupWeights);
        return kernel switch
        {
            DepthwiseForward => new("Test", new PatchesOperand(from, g, 0, Transposed: false), Filters(with), to, 0, g.Filters, kernel.Reads[2], count: g.Groups, step: 1),
            DepthwiseInputGradient => new("Test", new GradientPatchesOperand(from, g, 0), new ReversedTapsOperand(with, g, 0), to, 0, g.Channels, count: g.Groups, step: 1),
            _ => new("Test", new PatchesOperand(from, g, 0, Transposed: true), new DenseOperand(with, g.OutPixels, 1, 0, g.Filters, Transposed: false, Step: 1), to, 0, 1, count: g.Groups, step: g.GroupWeights),
        };
    }

    private static void AssertSame(Dictionary<string, int[]> expected, Dictionary<string, int[]> actual, IEnumerable<string> names, string what)
    {
        foreach (string name in names) Assert.IsTrue(expected[name].AsSpan().SequenceEqual(actual[name]), $"{what}: {name}");
    }

    private static IEnumerable<Conv2dGeometry> Geometries(int batch) =>
        s_shapes.Select(s => new Conv2dGeometry(batch, s.Image.Height, s.Image.Width, s.Channels, s.Channels, s.Window, s.Channels));

    private static Network Layer(Conv2dGeometry g) => Network.Image(g.Height, g.Width, g.Channels, PixelOrder.Interleaved)
        .Conv2d(g.Filters, g.Window.Kernel, g.Window.Stride, g.Window.Padding, g.Window.Dilation, g.Groups);

    private static ExecutionPlan Plan(Conv2dGeometry g, Precision precision) =>
        PlanBuilder.Build(Layer(g), new PlanOptions(g.Batch, precision, new PlantedGradient(), new Sgd()) { KeepAll = true, InputGradient = true });

    private static Dictionary<string, int[]> Bits(Conv2dGeometry g, Precision precision, int threads, bool products)
    {
        var plan = Plan(g, precision);
        using var cpu = new CpuBackend(precision, threads);
        using var session = new TrainingSession(plan, cpu);
        var batch = new Batch(g.Batch, g.Height * g.Width * g.Channels, plan.Network.Shape.Size) { RowCount = g.Batch };
        var random = new CounterRandom(1, 1);
        for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = 4 * CounterRandom.ToUnit(random.Bits((uint)i)) - 2;
        for (int i = 0; i < batch.Values.Length; i++) batch.Values[i] = 2 * CounterRandom.ToUnit(random.Bits(~(uint)i)) - 1;
        session.TrainPass(batch);
        if (products)
        {
            foreach (var kernel in plan.Train.Select(step => step.Kernel).OfType<DepthwiseConv2d>())
            {
                cpu.Upload(kernel.Writes[0], new float[kernel.Writes[0].Length]);
                cpu.Bind(Products(kernel, g))();
            }
        }
        var read = new Dictionary<string, int[]> { ["output"] = Read(plan.TrainOutputs[plan.Layers[^1].Name]), ["input gradient"] = Read(plan.InputGradient!) };
        foreach (var parameter in plan.Parameters.Parameters) read.Add("gradient of " + parameter.Name, Read(parameter.Gradient));
        return read;

        int[] Read(Tensor tensor) => [.. session.Read(tensor).Select(BitConverter.SingleToInt32Bits)];
    }
}
