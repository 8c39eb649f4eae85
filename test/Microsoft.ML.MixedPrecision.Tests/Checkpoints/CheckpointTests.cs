namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class CheckpointTests
{
    private static readonly Network s_network = Network.Vector(6).Linear(9).Relu().Linear(3);

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void ResumesBitForBit(Precision precision)
    {
        using var whole = Session(precision);
        Train(whole, 0, 6);

        using var first = Session(precision);
        Train(first, 0, 3);
        using var file = new MemoryStream();
        Checkpoint.From(first).Save(file);
        file.Position = 0;
        using var second = Session(precision, seed: 99); // other initial weights, all of which must be replaced
        Checkpoint.Load(file).To(second);
        Train(second, 3, 6);

        CollectionAssert.AreEqual(whole.Read(whole.Plan.Parameters.Masters), second.Read(second.Plan.Parameters.Masters));
        CollectionAssert.AreEqual(whole.Read(whole.Plan.Parameters.State[0]), second.Read(second.Plan.Parameters.State[0]));
        CollectionAssert.AreEqual(whole.ReadIntegers(whole.Plan.Control.Counters), second.ReadIntegers(second.Plan.Control.Counters));
    }

    [TestMethod]
    public void RefusesAnotherNetwork()
    {
        using var session = Session(Precision.Mixed);
        using var other = new TrainingSession(Plan(Network.Vector(6).Linear(3), Precision.Mixed, 1), new CpuBackend(Precision.Mixed));
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Checkpoint.From(session).To(other));
        StringAssert.Contains(e.Message, "Resume with the network, optimizer and precision that it was made with.");
    }

    [TestMethod]
    public void RefusesWhatIsNoCheckpoint()
    {
        Assert.ThrowsExactly<InvalidDataException>(() => Checkpoint.Load(new MemoryStream([1, 2, 3, 4, 5, 6, 7, 8])));
        using var session = Session(Precision.Mixed);
        using var file = new MemoryStream();
        Checkpoint.From(session).Save(file);
        file.SetLength(file.Length - 1);
        file.Position = 0;
        var e = Assert.ThrowsExactly<InvalidDataException>(() => Checkpoint.Load(file));
        StringAssert.Contains(e.Message, "ends too early");
    }

    private static TrainingSession Session(Precision precision, uint seed = 1) => new(Plan(s_network, precision, seed), new CpuBackend(precision));

    private static ExecutionPlan Plan(Network network, Precision precision, uint seed) =>
        PlanBuilder.Build(network, new PlanOptions(8, precision, new SoftmaxCrossEntropy(), new Sgd(0.1f, momentum: 0.9f)) { Seed = seed, TotalUpdates = 6 });

    private static void Train(TrainingSession session, int from, int to)
    {
        for (int step = from; step < to; step++)
        {
            var random = new CounterRandom(5, (uint)step);
            var batch = new Batch(8, 6, 0) { RowCount = 8 };
            for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = CounterRandom.ToUnit(random.Bits((uint)i)) - 0.5f;
            for (int i = 0; i < 8; i++) batch.Classes[i] = (int)(random.Bits((uint)(1000 + i)) % 3);
            Array.Fill(batch.Weights, 1f);
            session.TrainPass(batch);
            session.Update();
        }
    }
}
