namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>A session that goes on from what another one wrote.</summary>
[TestClass]
public sealed class SessionStateTests
{
    private static readonly Network s_network = Network.Vector(6).Linear(9).BatchNorm().Relu().Dropout(0.2f).Linear(3);

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Goes_on_bit_for_bit(BackendRow row)
    {
        using var whole = Session(row);
        Train(whole, 0, 7);

        using var first = Session(row);
        Train(first, 0, 3); // an update and a half
        using var file = Written(first);
        using var second = Session(row);
        foreach (var parameter in second.Plan.Parameters.Parameters) second.SetParameter(parameter, new float[parameter.Master.Length]); // all of it must be replaced
        using (var reader = new BinaryReader(file)) SessionState.Read(second, reader);
        Train(second, 3, 7);

        var block = whole.Plan.Parameters;
        foreach (var (expected, actual) in new[] { (block.Masters, second.Plan.Parameters.Masters), (block.Weights, second.Plan.Parameters.Weights), (block.State[0], second.Plan.Parameters.State[0]) }
            .Concat(whole.Plan.Buffers.Zip(second.Plan.Buffers, (x, y) => (x.Values, y.Values))))
            CollectionAssert.AreEqual(whole.Read(expected), second.Read(actual), expected.Name);
        CollectionAssert.AreEqual(whole.ReadIntegers(whole.Plan.Control.Counters), second.ReadIntegers(second.Plan.Control.Counters));
    }

    [TestMethod]
    public void Refuses_the_state_of_another_plan()
    {
        var row = new BackendRow("cpu", Precision.Mixed, () => new CpuBackend(Precision.Mixed));
        using var session = Session(row);
        using var other = new TrainingSession(Plan(Network.Vector(6).Linear(3), Precision.Mixed), row.Create());
        using var reader = new BinaryReader(Written(session));
        var e = Assert.ThrowsExactly<InvalidDataException>(() => SessionState.Read(other, reader));
        Assert.StartsWith("expected Masters[", e.Message);
    }

    private static MemoryStream Written(TrainingSession session)
    {
        session.ReadReport(); // as after an epoch
        var file = new MemoryStream();
        SessionState.Write(session, new BinaryWriter(file));
        file.Position = 0;
        return file;
    }

    private static TrainingSession Session(BackendRow row) => new(Plan(s_network, row.Precision), row.Create());

    private static ExecutionPlan Plan(Network network, Precision precision) => PlanBuilder.Build(network,
        new PlanOptions(8, precision, new SoftmaxCrossEntropy(), new Sgd(0.1f, momentum: 0.9f)) { Seed = 1, TotalUpdates = 6, AccumulationSteps = 2 });

    private static void Train(TrainingSession session, int from, int to)
    {
        for (int pass = from; pass < to; pass++)
        {
            var random = new CounterRandom(5, (uint)pass);
            var batch = new Batch(8, 6, 0) { RowCount = 8 };
            for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = CounterRandom.ToUnit(random.Bits((uint)i)) - 0.5f;
            for (int i = 0; i < 8; i++) batch.Classes[i] = (int)(random.Bits((uint)(1000 + i)) % 3);
            Array.Fill(batch.Weights, 1f);
            session.Step(batch, update: pass % 2 == 1);
        }
        session.ReadReport();
    }
}
