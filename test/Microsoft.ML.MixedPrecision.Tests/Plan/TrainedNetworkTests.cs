using System.Runtime.InteropServices;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The values of a trained network on the host: one copy of them, and what goes on with it.</summary>
[TestClass]
public sealed class TrainedNetworkTests
{
    private const int Rows = 4;

    private static readonly Network Network = Network.Vector(6).Linear(8).BatchNorm().Relu().Linear(3);

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_plan_that_only_goes_forward_scores_as_the_whole_one(BackendRow row)
    {
        using var whole = new TrainingSession(PlanBuilder.Build(Network, Options(row.Precision)), row.Create());
        var batch = NewBatch();
        for (int i = 0; i < 3; i++)
        {
            whole.TrainPass(batch);
            whole.Update();
        }
        var trained = TrainedNetwork.From(whole);
        using var forward = new TrainingSession(PlanBuilder.Build(Network, Options(row.Precision) with { ForwardOnly = true }), row.Create(), values: trained);
        CollectionAssert.AreEqual(Output(whole), Output(forward));
        Assert.IsEmpty(forward.Plan.Train);
        Assert.IsEmpty(forward.Plan.Update);

        // Masters, gradients and two moments are not there: mixed has 2 of 16 bytes for a weight, single 4 of 16.
        long saved = whole.Plan.TotalBytes - whole.Plan.Bytes[Region.Activations] - (forward.Plan.TotalBytes - forward.Plan.Bytes[Region.Activations]);
        Assert.AreEqual(0, forward.Plan.Bytes[Region.Training]);
        Assert.AreEqual(whole.Plan.Parameters.Length * (row.Precision == Precision.Mixed ? 14L : 12L), saved);

        float[] Output(TrainingSession session)
        {
            session.EvaluatePass(batch);
            return session.Read(session.Plan.Output);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void What_was_learned_outlives_the_training(BackendRow row)
    {
        using var session = new TrainingSession(PlanBuilder.Build(Network, Options(row.Precision)), row.Create());
        var batch = NewBatch();
        session.TrainPass(batch);
        session.Update();
        var before = TrainedNetwork.From(session);
        session.EndTraining();
        var after = TrainedNetwork.From(session);
        foreach (var layer in session.Plan.Parameters.Parameters.GroupBy(p => p.Node))
            foreach (var (i, parameter) in layer.Index()) CollectionAssert.AreEqual(before.Parameter(layer.Key, i), after.Parameter(layer.Key, i), parameter.Name);
        foreach (Action pass in (Action[])[() => session.TrainPass(batch), () => session.Update(), () => session.EvaluatePass(batch)])
            Assert.Contains("ended", Assert.ThrowsExactly<InvalidOperationException>(pass).Message);
    }

    [TestMethod]
    public void An_older_copy_gives_its_memory_to_the_next()
    {
        using var session = new TrainingSession(PlanBuilder.Build(Network, Options(Precision.Mixed)), new CpuBackend(Precision.Mixed));
        var first = TrainedNetwork.From(session);
        var linear = session.Plan.Layers.First(l => l.Node.Op is Linear).Node;
        var (values, before) = (first.Parameter(linear, 0), first.Parameter(linear, 0).ToArray());
        session.TrainPass(NewBatch());
        session.Update();
        var second = TrainedNetwork.From(session, first);
        Assert.AreSame(values, second.Parameter(linear, 0));
        CollectionAssert.AreNotEqual(before, values);
        foreach (var layer in session.Plan.Parameters.Parameters.GroupBy(p => p.Node))
            foreach (var (i, parameter) in layer.Index()) CollectionAssert.AreEqual(session.ReadParameter(parameter), second.Parameter(layer.Key, i), parameter.Name);
    }

    [TestMethod]
    [DataRow(OnnxPrecision.Single, 0)]
    [DataRow(OnnxPrecision.Half, 2)]
    public void An_ONNX_graph_holds_the_weights_once(OnnxPrecision precision, int bytesForAWeight)
    {
        var values = new float[1 << 20];
        var graph = new OnnxGraph(precision, 4);
        graph.Weights("first", [1f, 2f], 2); // what is compiled once is not counted
        long before = GC.GetAllocatedBytesForCurrentThread();
        graph.Weights("second", values, values.Length);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.IsLessThan((long)bytesForAWeight * values.Length + 4096, allocated);
    }

    [TestMethod]
    public void Floats_are_seen_as_their_bytes()
    {
        float[] values = [1f, -2.5f, float.Epsilon];
        var memory = new FloatBytes(values).Memory;
        byte[] expected = MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
        CollectionAssert.AreEqual(expected, memory.ToArray());
        using var pin = memory[4..].Pin();
        unsafe
        {
            CollectionAssert.AreEqual(expected[4..], new Span<byte>(pin.Pointer, 8).ToArray());
        }
    }

    private static PlanOptions Options(Precision precision) => new(Rows, precision, new SoftmaxCrossEntropy(), new Adam(0.01f)) { Seed = 5, TotalUpdates = 4, LossScale = LossScale.Static(8) };

    private static Batch NewBatch()
    {
        var random = new CounterRandom(2, 3);
        var batch = new Batch(Rows, 6, 0) { RowCount = Rows };
        for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = 2 * CounterRandom.ToUnit(random.Bits((uint)i)) - 1;
        for (int i = 0; i < Rows; i++) batch.Classes[i] = i % 3;
        Array.Fill(batch.Weights, 1f);
        return batch;
    }
}
