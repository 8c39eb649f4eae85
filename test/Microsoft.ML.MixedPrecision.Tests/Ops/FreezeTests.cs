namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class FreezeTests
{
    private const int Rows = 4, Classes = 3;

    private static readonly Network Backbone = Learned.Of(Network.Image(6, 5, 2, PixelOrder.Interleaved).Conv2d(8, 3, padding: 1).BatchNorm().Relu().Dropout(0.5f).MaxPool2d(2).Flatten());

    /// <summary>What is frozen gives what inference gives, bit for bit; what is behind it trains as it would on those values as features.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Trains_what_is_behind_it_as_on_features_that_were_computed_before(BackendRow row)
    {
        var batch = Images();
        using var whole = Session(row, Backbone.Freeze().Linear(Classes));
        whole.EvaluatePass(batch);
        using var alone = Session(row, Network.Vector(Backbone.Shape.Size).Linear(Classes));
        var features = new Batch(Rows, Backbone.Shape.Size, 0) { RowCount = Rows };
        batch.Classes.CopyTo(features.Classes, 0);
        batch.Weights.CopyTo(features.Weights, 0);
        whole.Read(whole.Plan.LayerOutputs["Freeze1"]).CopyTo(features.Features, 0);
        foreach (var (here, there) in alone.Plan.Parameters.Parameters.Zip(whole.Plan.Parameters.Parameters)) alone.SetParameter(here, whole.ReadParameter(there));

        var before = Frozen(whole);
        for (int step = 0; step < 3; step++)
        {
            whole.TrainPass(batch);
            CollectionAssert.AreEqual(features.Features, whole.Read(whole.Plan.TrainOutputs["Freeze1"]), $"step {step}");
            whole.Update();
            alone.TrainPass(features);
            alone.Update();
        }
        foreach (var (here, there) in alone.Plan.Parameters.Parameters.Zip(whole.Plan.Parameters.Parameters)) CollectionAssert.AreEqual(alone.ReadParameter(here), whole.ReadParameter(there), here.Name);
        var after = Frozen(whole);
        Assert.HasCount(6, after); // two parameters of each layer, two buffers
        foreach (var (name, values) in before) CollectionAssert.AreEqual(values, after[name], name);
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void What_is_frozen_has_no_gradient_no_master_and_no_state(Precision precision)
    {
        var network = Network.Vector(64).Linear(256).Relu().Linear(256).Relu();
        Network whole = network.Linear(Classes), frozen = network.Freeze().Linear(Classes);
        const long HeadValues = 256 * Classes + Classes, Values = 64 * 256 + 256 + 256 * 256 + 256;
        Assert.AreEqual((Values + HeadValues, HeadValues), (whole.ParameterCount, frozen.ParameterCount));
        ExecutionPlan Plan(Network n) => PlanBuilder.Build(n, new PlanOptions(Rows, precision, new SoftmaxCrossEntropy(), new Adam()));
        var (before, after) = (Plan(whole), Plan(frozen));
        long saved = before.Bytes[Region.Parameters] + before.Bytes[Region.Training] - after.Bytes[Region.Parameters] - after.Bytes[Region.Training];
        Assert.AreEqual(Values * (precision == Precision.Mixed ? 4 + 2 + 8 : 4 + 8), saved);
        Assert.IsFalse(after.Train.Any(step => step.Phase == Phase.Backward && step.Layer is not "Linear3"), "Nothing goes back through what is frozen.");
    }

    [TestMethod]
    public void A_branch_beside_it_is_frozen_where_it_shares_layers_and_trained_where_it_does_not()
    {
        var shared = Network.Vector(4).Linear(8).Relu();
        var network = Network.Concat(shared.Freeze().Linear(2, name: "behind"), shared.Linear(2, name: "beside"), Network.Concat(shared.UpTo("Input").Linear(2, name: "apart")));
        var plan = PlanBuilder.Build(network, new PlanOptions(Rows, Precision.Single, new PlantedGradient(), new Sgd()));
        CollectionAssert.AreEquivalent(new[] { "Linear1.Weight", "Linear1.Bias" }, plan.Parameters.Frozen.Select(p => p.Name).ToArray());
        CollectionAssert.AreEquivalent(new[] { "behind.Weight", "behind.Bias", "beside.Weight", "beside.Bias", "apart.Weight", "apart.Bias" }, plan.Parameters.Parameters.Select(p => p.Name).ToArray());
    }

    [TestMethod]
    public void A_network_is_frozen_up_to_one_of_its_layers_and_thawed()
    {
        var network = Learned.Of(Network.Vector(4).Linear(8).Relu().Linear(5).BatchNorm());
        var half = network.FreezeUpTo("Relu1");
        CollectionAssert.AreEqual(new[] { "Input", "Linear1", "Relu1", "Freeze1", "Linear2", "BatchNorm1" }, half.LayerNames.ToArray());
        Assert.AreEqual(8 * 5 + 5 + 2 * 5, half.ParameterCount);
        foreach (var thawed in (Network[])[half.Unfreeze(), network.FreezeUpTo("BatchNorm1").Unfreeze(), half.FreezeUpTo("Linear2").Unfreeze()])
        {
            CollectionAssert.AreEqual(network.LayerNames.ToArray(), thawed.LayerNames.ToArray());
            Assert.IsTrue(network.Node.Sorted().Zip(thawed.Node.Sorted()).All(pair => ReferenceEquals(pair.First.Start, pair.Second.Start)));
            Assert.AreEqual(network.ParameterCount, thawed.ParameterCount);
        }
        Assert.AreEqual(0, network.FreezeUpTo("BatchNorm1").ParameterCount);
        CollectionAssert.AreEqual(network.LayerNames.ToArray(), network.FreezeUpTo("Input").LayerNames.ToArray());
        Assert.AreEqual(4 + 5, Network.Concat(half.UpTo("Input"), half, network.UpTo("Input")).Shape.Size - 4, "They still share their input.");
        Assert.StartsWith("FreezeUpTo: expected the name of a layer, one of Input, Linear1, Relu1, Linear2, BatchNorm1; got Relu2.", Assert.ThrowsExactly<ArgumentException>(() => network.FreezeUpTo("Relu2")).Message);
    }

    [TestMethod]
    public void Images_are_still_moved_and_nothing_is_dropped()
    {
        var network = Network.Image(6, 6, 1, PixelOrder.Interleaved).Augment(2, flip: true).Dropout(0.5f).Freeze().Flatten().Linear(1);
        using var session = new TrainingSession(PlanBuilder.Build(network, Options(Precision.Single)), new CpuBackend(Precision.Single));
        var batch = new Batch(Rows, 36, 0) { RowCount = Rows };
        for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = 1 + i;
        Array.Fill(batch.Weights, 1f);
        session.TrainPass(batch);
        float[] moved = session.Read(session.Plan.TrainOutputs["Augment1"]);
        CollectionAssert.AreNotEqual(batch.Features, moved);
        CollectionAssert.AreEqual(moved, session.Read(session.Plan.TrainOutputs["Dropout1"]));
    }

    [TestMethod]
    public void Values_are_those_of_the_seed_where_there_are_no_others()
    {
        var network = Network.Vector(4).Linear(8).Relu();
        float[] Weights(Network n)
        {
            using var session = new TrainingSession(PlanBuilder.Build(n, Options(Precision.Mixed)), new CpuBackend(Precision.Mixed));
            var trained = TrainedNetwork.From(session);
            return trained.Parameter(network.Node.Inputs[0], 0);
        }
        float[] whole = Weights(network.Linear(1)), frozen = Weights(network.Freeze().Linear(1));
        CollectionAssert.AreEqual(whole.Select(w => (float)(Half)w).ToArray(), frozen);
    }

    [TestMethod]
    public void Exports() => ExportHarness.Run(new CpuBackend(Precision.Mixed), Backbone.Freeze().Linear(Classes));

    private static Dictionary<string, float[]> Frozen(TrainingSession session)
    {
        var values = session.Plan.Parameters.Frozen.ToDictionary(p => p.Name, p => session.Read(p.Weight));
        foreach (var buffer in session.Plan.Buffers) values.Add(buffer.Name, session.Read(buffer.Values));
        return values;
    }

    private static PlanOptions Options(Precision precision) => new(Rows, precision, new SoftmaxCrossEntropy(), new Adam(0.01f)) { Seed = 3, TotalUpdates = 4, LossScale = LossScale.Static(8), KeepAll = true };

    private static TrainingSession Session(BackendRow row, Network network) => new(PlanBuilder.Build(network, Options(row.Precision)), row.Create());

    private static Batch Images()
    {
        var random = new Random(2);
        var batch = new Batch(Rows, 60, 0) { RowCount = Rows };
        for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = random.NextSingle() * 2 - 1;
        for (int i = 0; i < Rows; i++) batch.Classes[i] = i % Classes;
        Array.Fill(batch.Weights, 1f);
        return batch;
    }
}
