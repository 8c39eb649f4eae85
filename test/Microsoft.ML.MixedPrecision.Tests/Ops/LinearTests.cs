namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class LinearTests
{
    // Roundings: of each layer's output, and of each gradient on the way back; every one may be carried through two more layers.
    private const int Roundings = 12;

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void EqualsTheReferenceInBothDirections(BackendRow row)
    {
        foreach (var (inputs, outputs, batch) in new[] { (1, 1, 1), (5, 7, 3), (17, 33, 4) })
        {
            OpCheck.Run(row.Create(), Network.Vector(inputs).Linear(outputs),
                v => References.Linear(v.Input, v.Batch, v.Parameters[0], v.Parameters[1]), batch: batch);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void AnOutputWithTwoConsumersGetsTheSumOfTheirGradients(BackendRow row)
    {
        var x = Network.Vector(5).Linear(7);
        OpCheck.Run(row.Create(), (x.Relu() + x).Linear(3), v =>
        {
            var h = References.Linear(v.Input, v.Batch, v.Parameters[0], v.Parameters[1]);
            for (int i = 0; i < h.Length; i++) h[i] += Math.Max(h[i], 0);
            return References.Linear(h, v.Batch, v.Parameters[2], v.Parameters[3]);
        }, batch: 4, rows: 3, roundings: Roundings);
    }

    [TestMethod]
    public void StartsAsPyTorchDoes()
    {
        var parameters = new Linear(400, bias: true).Parameters([Shape.Vector(100)]);
        Assert.HasCount(2, parameters);
        foreach (var parameter in parameters)
        {
            var values = parameter.Initializer.Create(parameter.Length, new CounterRandom(1, 2));
            Assert.IsTrue(values.All(v => Math.Abs(v) <= 0.1f), "uniform in ±1/sqrt(fan-in)");
            Assert.IsTrue(values.Max() > 0.09f && values.Min() < -0.09f, "over the whole range");
        }
    }

    [TestMethod]
    public void RefusesAnImage()
    {
        var e = Assert.ThrowsExactly<ArgumentException>(() => Network.Image(2, 3, 4).Linear(5, name: "head"));
        Assert.AreEqual("Linear 'head': expected a vector or a sequence, got an image 2x3x4; put Flatten() or GlobalAvgPool2d() before it.", e.Message);
    }

    [TestMethod]
    public void RefusesNoOutputs() => Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Vector(2).Linear(0));
}
