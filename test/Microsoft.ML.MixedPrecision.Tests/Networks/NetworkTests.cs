namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class NetworkTests
{
    [TestMethod]
    public void A_network_is_a_value_that_later_layers_do_not_change()
    {
        var x = Network.Vector(4).Linear(8);
        var a = x.Relu();
        var b = x.Linear(2);
        Assert.AreEqual(Shape.Vector(8), x.Shape);
        Assert.AreEqual(Shape.Vector(8), a.Shape);
        Assert.AreEqual(Shape.Vector(2), b.Shape);
        Assert.AreEqual(4 * 8 + 8, a.ParameterCount);
        Assert.AreEqual(4 * 8 + 8 + 8 * 2 + 2, b.ParameterCount);
        Assert.AreEqual(Shape.Vector(4), b.InputShape);
    }

    [TestMethod]
    public void Layers_are_numbered_by_their_kind()
    {
        var x = Network.Vector(4).Linear(8).Relu().Linear(3);
        CollectionAssert.AreEqual(new[] { "Input", "Linear1", "Relu1", "Linear2" }, x.Node.Sorted().Select(n => n.Name).ToArray());
    }

    [TestMethod]
    public void Every_node_comes_after_its_inputs_and_once()
    {
        var x = Network.Vector(3).Linear(3);
        var sorted = ((x + x.Relu()) * x).Node.Sorted();
        Assert.HasCount(sorted.Distinct().Count(), sorted);
        for (int i = 0; i < sorted.Count; i++)
            foreach (var input in sorted[i].Inputs) Assert.IsTrue(sorted.Take(i).Contains(input), sorted[i].Name);
    }

    [TestMethod]
    public void ResNet20_has_its_shapes_and_parameters()
    {
        var network = Architectures.ResNetSmall(Network.Image(32, 32, 3));
        Assert.AreEqual(Shape.Vector(64), network.Shape);
        Assert.AreEqual(272_474, network.Linear(10).ParameterCount); // with projections in the shortcuts: PyTorch's count for the same network
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Architectures.ResNetSmall(Network.Image(32, 32, 3), 0));
    }

    [TestMethod]
    public void ResNet50_has_its_shapes_and_parameters()
    {
        var network = Architectures.ResNet50(Network.Image(224, 224, 3));
        Assert.AreEqual(Shape.Vector(2048), network.Shape);
        Assert.AreEqual(25_557_032, network.Linear(1000).ParameterCount); // PyTorch's count
        string[] images = [.. network.Node.Sorted().Where(n => n.Op is MaxPool2d or Add).Select(n => n.Shape.ToString()).Distinct()];
        CollectionAssert.AreEqual(new[] { "56x56x64", "56x56x256", "28x28x512", "14x14x1024", "7x7x2048" }, images);
        Assert.ThrowsExactly<ArgumentNullException>(() => Architectures.ResNet50(null!));
    }

    [TestMethod]
    public void Shapes_have_extents_of_at_least_one()
    {
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Vector(0));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Image(2, -1, 3));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Image(2, 2, 3, (PixelOrder)7));
        Assert.AreEqual("4x5x6", Shape.Image(4, 5, 6).ToString());
        Assert.AreEqual(120, Shape.Image(4, 5, 6).Size);
        Assert.AreEqual(Shape.Image(4, 5, 6).GetHashCode(), Shape.Image(4, 5, 6).GetHashCode());
        Assert.IsTrue(Shape.Image(4, 5, 6) != Shape.Vector(120));
        Assert.ThrowsExactly<InvalidOperationException>(() => Shape.Vector(3).Height);
    }

    [TestMethod]
    [DataRow(1, 2, Precision.Single)]
    [DataRow(27, 40, Precision.Mixed)] // more pixels than are worked on at once
    public void Planar_pixels_become_NHWC(int height, int width, Precision precision)
    {
        int pixels = height * width, size = 3 * pixels;
        var options = new PlanOptions(1, precision, new PlantedGradient(), new Sgd()) { KeepAll = true };
        using var session = new TrainingSession(PlanBuilder.Build(Network.Image(height, width, 3).Flatten(), options), new CpuBackend(precision));
        var batch = new Batch(1, size, size) { RowCount = 1 };
        for (int i = 0; i < size; i++) batch.Features[i] = i % 2003; // r r ... g g ... b b ...; exact as halves
        session.TrainPass(batch);
        var expected = Enumerable.Range(0, size).Select(i => (float)((i % 3 * pixels + i / 3) % 2003)).ToArray();
        CollectionAssert.AreEqual(expected, session.Read(session.Plan.TrainOutputs["Flatten1"]));
    }

    /// <summary>The known answers of the generator's authors (Random123, kat_vectors).</summary>
    [TestMethod]
    public void Philox_gives_its_authors_known_answers()
    {
        Assert.AreEqual(new RandomWords(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8), CounterRandom.Philox(0, 0, 0, 0));
        Assert.AreEqual(0f, CounterRandom.ToUnit(0));
        Assert.IsLessThan(1f, CounterRandom.ToUnit(uint.MaxValue));
    }
}
