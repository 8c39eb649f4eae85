namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>On the CPU a run's bits do not depend on the threads, in any op: large enough for several parts.</summary>
[TestClass]
public sealed class ThreadsTests
{
    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Any_number_gives_the_same_bits(Precision precision)
    {
        var image = Network.Image(9, 7, 19, PixelOrder.Interleaved);
        var vector = Network.Vector(1197);
        foreach (var network in new[]
        {
            image.BatchNorm(), vector.BatchNorm(), image.LayerNorm(), image.Softmax(), vector.Softmax(), image.Dropout(), image.Gelu(), image.Silu(), image.Tanh(), image.Sigmoid(),
            image.LeakyRelu(), image * image.Relu(), image * image.GlobalAvgPool2d(), Network.Concat(image, image.Relu()), image.MaxPool2d(2), image.MaxPool2d(3, 2, 1), image.AvgPool2d(2), image.AvgPool2d(3, 2, 1), image.GlobalAvgPool2d(),
        })
        {
            var one = Bits(network, precision, 1);
            foreach (int threads in new[] { 2, 3 })
                foreach (var (name, values) in Bits(network, precision, threads))
                    Assert.IsTrue(one[name].AsSpan().SequenceEqual(values), $"{network.Node.Name}, {threads} threads: {name}");
        }
    }

    private static Dictionary<string, int[]> Bits(Network network, Precision precision, int threads)
    {
        const int Batch = 37;
        var plan = PlanBuilder.Build(network, new PlanOptions(Batch, precision, new PlantedGradient(), new Sgd()) { KeepAll = true, InputGradient = true });
        using var session = new TrainingSession(plan, new CpuBackend(precision, threads));
        var batch = new Batch(Batch, network.InputShape.Size, network.Shape.Size) { RowCount = Batch - 2 };
        var random = new CounterRandom(1, 1);
        for (int i = 0; i < batch.RowCount * network.InputShape.Size; i++) batch.Features[i] = 4 * CounterRandom.ToUnit(random.Bits((uint)i)) - 2;
        for (int i = 0; i < batch.RowCount * network.Shape.Size; i++) batch.Values[i] = 2 * CounterRandom.ToUnit(random.Bits(~(uint)i)) - 1;
        session.TrainPass(batch);
        var read = new Dictionary<string, int[]> { ["output"] = Read(plan.TrainOutputs[plan.Layers[^1].Name]), ["input gradient"] = Read(plan.InputGradient!) };
        foreach (var parameter in plan.Parameters.Parameters) read.Add("gradient of " + parameter.Name, Read(parameter.Gradient));
        foreach (var buffer in plan.Buffers) read.Add(buffer.Name, Read(buffer.Values));
        return read;

        int[] Read(Tensor tensor) => [.. session.Read(tensor).Select(BitConverter.SingleToInt32Bits)];
    }
}
