namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Multiply, Concat, Reshape, Softmax: what joins branches and changes shapes.</summary>
[TestClass, TestCategory("VectorWidth")]
public sealed class BranchTests
{
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Multiply_equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (int size in new[] { 1, 17 })
        {
            var x = Network.Vector(size);
            OpCheck.Run(row.Create(), x * x.LeakyRelu(0.5f), v => [.. v.Input.Select(e => e * (e < 0 ? 0.5 * e : e))], roundings: 4);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Concat_equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (int channels in (ReadOnlySpan<int>)[5, 16]) // by element, and by eight
        {
            var x = Network.Image(2, 3, channels, PixelOrder.Interleaved);
            OpCheck.Run(row.Create(), Network.Concat(x, x.LeakyRelu(0.5f), x), v =>
            {
                var y = new List<double>();
                foreach (var pixel in v.Input.Chunk(channels)) y.AddRange([.. pixel, .. pixel.Select(e => e < 0 ? 0.5 * e : e), .. pixel]);
                return [.. y];
            }, roundings: 5);
        }
        var z = Network.Vector(3);
        OpCheck.Run(row.Create(), Network.Concat(z.Relu(), z), v => [.. v.Input.Chunk(3).SelectMany(r => r.Select(e => Math.Max(e, 0)).Concat(r))], roundings: 4);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Softmax_equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var network in new[] { Network.Vector(1), Network.Vector(7), Network.Vector(16), Network.Vector(35), Network.Image(2, 3, 5, PixelOrder.Interleaved) })
        {
            OpCheck.Run(row.Create(), network.Softmax(), v => [.. v.Input.Chunk(network.Shape.Channels).SelectMany(r =>
            {
                double sum = r.Sum(Math.Exp);
                return r.Select(e => Math.Exp(e) / sum);
            })], roundings: 4, spread: 3);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Softmax_of_large_values_does_not_overflow(BackendRow row) =>
        OpCheck.Run(row.Create(), Network.Vector(3).Softmax(), v => [.. v.Input.Chunk(3).SelectMany(r => r.Select(e => 1 / r.Sum(o => Math.Exp(o - e))))],
            batch: 2, input: [1000, -1000, 999, -1000, -1001, -30_000]);

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_branch_times_itself_is_its_square(BackendRow row)
    {
        var x = Network.Vector(5);
        OpCheck.Run(row.Create(), x * x, v => [.. v.Input.Select(e => e * e)], roundings: 3);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Reshape_keeps_the_elements(BackendRow row) =>
        OpCheck.Run(row.Create(), Network.Vector(12).Reshape(2, 3, 2).Relu().Flatten(), v => [.. v.Input.Select(e => Math.Max(e, 0))]);

    [TestMethod]
    public void Views_take_no_step()
    {
        var network = Network.Image(2, 3, 2).Relu().Flatten(name: "f").Reshape(3, 2, 2, name: "r").Dropout(name: "d").Relu();
        var plan = PlanBuilder.Build(network, new PlanOptions(2, Precision.Mixed, new PlantedGradient(), new Sgd()) { InputGradient = true });
        Assert.IsFalse(plan.Train.Concat(plan.Evaluate).Any(s => s.Layer is "f" or "r"));
        Assert.HasCount(2, plan.Train.Where(s => s.Layer == "d"));
        Assert.IsFalse(plan.Evaluate.Any(s => s.Layer == "d"));
        Assert.AreSame(plan.TrainOutputs["f"].Owner, plan.TrainOutputs["r"].Owner);
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Export(Precision precision)
    {
        var vector = Network.Vector(6).Linear(6);
        ExportHarness.Run(new CpuBackend(precision), vector * vector.Relu());
        ExportHarness.Run(new CpuBackend(precision), Network.Concat(vector, vector.Relu(), vector.Linear(3)));
        ExportHarness.Run(new CpuBackend(precision), vector.Softmax());
        ExportHarness.Run(new CpuBackend(precision), vector.Reshape(1, 2, 3).Conv2d(2, 1).Flatten());
        var image = Network.Image(3, 4, 2);
        ExportHarness.Run(new CpuBackend(precision), Network.Concat(image, image.Conv2d(3, 3, padding: 1)).Softmax().Flatten());
        ExportHarness.Run(new CpuBackend(precision), image.Reshape(4, 2, 3).Conv2d(2, 2).Flatten());
    }

    [TestMethod]
    public void Say_what_does_not_fit()
    {
        var image = Network.Image(4, 4, 2);
        Message("Multiply 'm': expected two branches of one shape, 4x4x2, or a vector of its 2 channels, got 2x2x2; bring the second branch to the shape of the first.", () => image.Multiply(image.MaxPool2d(2), "m"));
        Message("Add 'a': expected two branches of one shape, 4x4x2, got 4x4x5; bring the second branch to the shape of the first, for instance with a 1x1 Conv2d of the same stride.", () => image.Add(image.Conv2d(5, 1), "a"));
        Message("Concat 'Concat1': expected images of 4x4 pixels, got an image 2x2x2; bring all branches to one size; Flatten() makes vectors.", () => Network.Concat(image, image.MaxPool2d(2)));
        Message("Concat 'Concat1': expected vectors, got an image 4x4x2; bring all branches to one size; Flatten() makes vectors.", () => Network.Concat(image.Flatten(), image));
        Message("Reshape 'r': expected 10 elements for 1x2x5, got 32 in 4x4x2; choose extents whose product is the number of elements.", () => image.Reshape(1, 2, 5, "r"));
        Message("Add: expected branches of one network, got networks with inputs of their own; start every branch from the same Network.Image(...), Network.Sequence(...), Network.Tokens(...), Network.Table(...) or Network.Vector(...) value.", () => Network.Vector(2) + Network.Vector(2));
        Assert.ThrowsExactly<ArgumentException>(() => Network.Concat());

        static void Message(string expected, Func<Network> write) => Assert.AreEqual(expected, Assert.ThrowsExactly<ArgumentException>(() => write()).Message);
    }
}
