namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class ExportCheckTests
{
    private static Network Mlp => Network.Vector(5).Linear(7, name: "first").Relu(name: "kink").Linear(3, name: "second");

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void AnExportIsTheNetwork(Precision precision) => ExportHarness.Run(new CpuBackend(precision), Mlp);

    [TestMethod]
    [DataRow(PixelOrder.Planar)]
    [DataRow(PixelOrder.Interleaved)]
    public void AnImageKeepsItsPixels(PixelOrder order) => ExportHarness.Run(new CpuBackend(Precision.Mixed), Network.Image(2, 3, 2, order).Relu());

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void RoundingsOfADeepNetworkAreExplained(Precision precision)
    {
        for (uint seed = 1; seed <= 5; seed++)
        {
            var network = Network.Vector(16);
            for (int i = 0; i < 12; i++) network = (network.Linear(24).Relu().Linear(16) + network).Relu();
            ExportHarness.Run(new CpuBackend(precision), network, rows: 5, spread: 0.3, seed: seed);
        }
    }

    /// <summary>Values between 0.6 and 0.63, of which a layer norm makes values of the size of 1: roundings of 1/4096 become a hundredth.</summary>
    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void RoundingsThatALayerNormMultipliesAreExplained(Precision precision)
    {
        for (uint seed = 1; seed <= 20; seed++)
            ExportHarness.Run(new CpuBackend(precision), Network.Sequence(11, 4).Linear(4).Sigmoid().Sigmoid().LayerNorm().Relu().Flatten().Linear(3), spread: 0.5, seed: seed);
    }

    [TestMethod]
    [DataRow(OnnxPrecision.Half)]
    [DataRow(OnnxPrecision.Single)]
    public void TheFirstLayerThatDiffersIsNamed(OnnxPrecision precision)
    {
        using TrainingSession session = ExportHarness.NewSession(new CpuBackend(Precision.Mixed), Mlp, 3, 1, 11, out Batch sample);
        var trained = TrainedNetwork.From(session);
        PlannedParameter bias = session.Plan.Parameters.Parameters[^1];
        StringAssert.Contains(bias.Name, "second");
        session.SetParameter(bias, new float[bias.Spec.Length]); // the export does not know of it
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => ExportCheck.Verify(trained, precision, session, sample));
        StringAssert.Contains(e.Message, "'second'");
    }

    [TestMethod]
    public void ItNeedsAPlanThatKeepsAll()
    {
        var network = Mlp;
        using var session = new TrainingSession(PlanBuilder.Build(network, new PlanOptions(2, Precision.Single, new PlantedGradient(), new Sgd())), new CpuBackend(Precision.Single));
        Assert.ThrowsExactly<ArgumentException>(() => ExportCheck.Verify(TrainedNetwork.From(session), OnnxPrecision.Half, session, new Batch(2, 5, 3) { RowCount = 2 }));
    }
}
