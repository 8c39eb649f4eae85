namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>A captured step runs kernels beside each other that do not wait for each other: whatever order comes of it, the bits are the same.</summary>
[TestClass]
public sealed class ReorderTests
{
    private const int Rows = 4, Size = 6, Channels = 2, Classes = 3, Steps = 3, Orders = 6;

    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void Any_order_that_keeps_the_waits_gives_the_same_bits(BackendRow row)
    {
        float[] expected = Weights(row.Create());
        Assert.IsTrue(expected.All(float.IsFinite));
        for (int seed = 0; seed < Orders; seed++)
        {
            var backend = new ReorderedBackend(row.Create(), seed);
            CollectionAssert.AreEqual(expected, Weights(backend), $"order {seed}");
            Assert.IsGreaterThan(Steps, backend.Overtaken);
        }
    }

    /// <summary>So that the test above can fail.</summary>
    [TestMethod]
    public void An_order_that_leaves_out_waits_does_not()
    {
        float[] expected = Weights(new CpuBackend(Precision.Single));
        int others = 0;
        for (int seed = 0; seed < Orders; seed++)
        {
            // Every tenth work waits for nothing.
            var backend = new ReorderedBackend(new CpuBackend(Precision.Single), seed, waits => [.. waits.Select((wait, i) => i % 10 == seed ? [] : wait)]);
            if (!expected.SequenceEqual(Weights(backend))) others++;
        }
        Assert.IsGreaterThan(Orders / 2, others);
    }

    /// <summary>Branches that meet, with and without a projection, as in a ResNet; statistics that move, masks, momentum.</summary>
    private static Network ResNet()
    {
        var x = Network.Image(Size, Size, Channels).Conv2d(4, 3, padding: 1).BatchNorm().Relu();
        x = (x.Conv2d(4, 3, padding: 1).BatchNorm().Relu().Conv2d(4, 3, padding: 1).BatchNorm() + x).Relu();
        x = (x.Conv2d(8, 3, stride: 2, padding: 1).BatchNorm().Relu().Conv2d(8, 3, padding: 1).BatchNorm() + x.Conv2d(8, 1, stride: 2).BatchNorm()).Relu();
        return x.GlobalAvgPool2d().Dropout(0.25f).Linear(Classes);
    }

    private static float[] Weights(Backend backend)
    {
        var options = new PlanOptions(Rows, backend.Precision, new SoftmaxCrossEntropy(), new Sgd(0.1f, momentum: 0.9f)) { Seed = 3, TotalUpdates = Steps, AccumulationSteps = 2, ClipNorm = 1f };
        using var session = new TrainingSession(PlanBuilder.Build(ResNet(), options), backend, poison: false);
        for (int i = 0; i < Steps * 2; i++) session.Step(Problems.Random(Rows, Size * Size * Channels, Classes, (uint)i), update: i % 2 == 1);
        var report = session.ReadReport();
        return [.. session.Read(session.Plan.Parameters.Masters), .. session.Plan.Buffers.SelectMany(buffer => session.Read(buffer.Values)), (float)report.LossSum, report.Applied];
    }
}
