namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Kernels that are joined: which, and that nobody can tell from the results.</summary>
[TestClass]
public sealed class FusionTests
{
    private const int Batch = 5;

    /// <summary>Each kernel that takes another with it, forward and backward; a strided convolution that some input pixels do not see.</summary>
    private static readonly Network s_network = Residual(
        Network.Image(7, 6, 2).Conv2d(4, kernel: 3, padding: 1).Relu().Conv2d(5, kernel: 1, stride: 3).Relu()).Flatten().Linear(6).Relu().Linear(3);

    private static Network Residual(Network x) => (x.Conv2d(5, kernel: 3, padding: 1).BatchNorm().Relu() + x).Relu();

    /// <summary>The strided convolution's input gradient takes the activation with it, and the sums of a bias are of its rows, which lie apart.</summary>
    private static readonly Network s_strided = Network.Image(7, 6, 2).Conv2d(8, kernel: 3, padding: 1).Relu().Conv2d(16, kernel: 3, stride: 2, padding: 1, bias: false).Relu().Flatten().Linear(3);

    /// <summary>Groups are products of their own, which begin at different places of what the activation reads.</summary>
    private static readonly Network s_grouped = Network.Image(7, 6, 2).Conv2d(8, kernel: 3, padding: 1).Relu().Conv2d(16, kernel: 3, padding: 1, groups: 2).Relu().Flatten().Linear(3);

    private static readonly Network s_summed = Network.Image(7, 6, 2).Conv2d(8, kernel: 3, padding: 1, bias: false).BatchNorm().Relu().Flatten().Linear(16).Relu().Linear(3);

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_plan_with_joined_kernels_gives_the_bits_of_one_without(BackendRow row)
    {
        foreach (var network in (Network[])[s_network, s_strided, s_grouped]) AssertBits(row, network);
    }

    private static void AssertBits(BackendRow row, Network network)
    {
        using TrainingSession joined = Session(network, row.Create(), keepAll: false), apart = Session(network, row.Create(), keepAll: true);
        Assert.IsLessThan(apart.Plan.Train.Count, joined.Plan.Train.Count);
        Assert.IsLessThan(apart.Plan.Evaluate.Count, joined.Plan.Evaluate.Count);
        foreach (var session in (TrainingSession[])[joined, apart])
            for (int i = 0; i < 3; i++) Problems.Step(session, Rows(Problems.Random(Batch, 84, 3, (uint)i)));
        CollectionAssert.AreEqual(apart.Read(apart.Plan.Parameters.Masters), joined.Read(joined.Plan.Parameters.Masters));
        Assert.IsTrue(joined.Read(joined.Plan.Parameters.Masters).All(float.IsFinite));

        float[] expected = new float[Batch * 3], actual = new float[Batch * 3];
        foreach (var (session, output) in ((TrainingSession, float[])[])[(apart, expected), (joined, actual)])
        {
            session.EvaluatePass(Rows(Problems.Random(Batch, 84, 3, 9)));
            session.ReadOutput(output);
        }
        CollectionAssert.AreEqual(expected, actual);

        // The last row is padding.
        static Batch Rows(Batch batch)
        {
            batch.RowCount = Batch - 1;
            return batch;
        }
    }

    [TestMethod]
    public void Joined_are_what_writes_an_activations_argument_and_what_writes_its_gradient()
    {
        string[] names = [.. Plan(s_network, keepAll: false).Train.Select(s => s.Kernel.Name).Where(n => n.Contains('+', StringComparison.Ordinal))];
        CollectionAssert.AreEqual((string[])
        [
            "Conv2d.Forward + Relu.Forward", "Conv2d.Forward + Relu.Forward", "BatchNorm.Forward + Relu.Forward", "Add.Forward + Relu.Forward", "Linear.Forward + Relu.Forward",
            "Linear.InputGradient + Relu.Backward", "Add.Forward + Relu.Backward", "Conv2d.InputGradient + Relu.Backward",
        ], names);
    }

    /// <summary>The product before a batch norm, and the one that makes the gradient of a bias, are told who sums their columns.</summary>
    [TestMethod]
    public void Products_know_who_reads_their_columns()
    {
        var steps = Plan(s_summed, keepAll: false).Train;
        string[] readers = [.. steps.Select(s => s.Kernel).OfType<MatrixProduct>().Where(p => p.Reader is not null).Select(p => $"{p.Name}: {p.Reader!.Name}")];
        CollectionAssert.AreEqual((string[])["Conv2d.Forward: BatchNorm.Statistics", "Linear.InputGradient + Relu.Backward: ColumnSum"], readers);
        CollectionAssert.AreEqual((string[])["ColumnSum"], Plan(s_strided, keepAll: false).Train.Select(s => s.Kernel).OfType<MatrixProduct>().Select(p => p.Reader?.Name).OfType<string>().ToArray());
        foreach (var reader in steps.Select(s => s.Kernel).OfType<ColumnReader>().Where(r => r.Producer is not null)) Assert.AreEqual(reader.From, reader.Producer!.C);
    }

    /// <summary>The product's sums are of the same values in another order: FP32 apart, where a sum of a pass over memory is rounded to half alike.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.Ptx), typeof(BackendMatrix))]
    public void Sums_that_a_product_takes_are_those_of_a_pass_over_memory(BackendRow row)
    {
        using var backend = (IlgpuBackend)row.Create();
        using TrainingSession inProduct = Session(s_summed, backend, keepAll: false), fromMemory = Session(s_summed, row.Create(), keepAll: true);
        Assert.AreEqual(row.Precision == Precision.Mixed ? 2 : 0, backend.Kernels.Count(k => KernelCatalog.NameOf(k).Contains("ColumnSums<", StringComparison.Ordinal)));
        float[][] gradients = [.. ((TrainingSession[])[inProduct, fromMemory]).Select(session =>
        {
            var batch = Problems.Random(Batch, 84, 3, 1);
            batch.RowCount = Batch - 1;
            Problems.Step(session, batch);
            return session.Read(session.Plan.Parameters.Gradients);
        })];
        for (int i = 0; i < gradients[0].Length; i++) Assert.AreEqual(gradients[1][i], gradients[0][i], 1e-2f * Math.Max(1f, Math.Abs(gradients[1][i])), $"gradient {i}");
        Assert.IsTrue(gradients[0].Any(g => g != 0f));
    }

    [TestMethod]
    public void A_tensor_that_two_steps_read_is_written()
    {
        var x = Network.Vector(4).Linear(6);
        var plan = Plan((x.Relu() + x.Tanh()).Linear(3), keepAll: false);
        Assert.IsFalse(plan.Train.Concat(plan.Evaluate).Any(s => s.Kernel.Name.StartsWith("Linear.Forward +", StringComparison.Ordinal)));
    }

    /// <summary>Tanh of a value rounded to half is not the rounded tanh of the value.</summary>
    [TestMethod]
    public void A_function_that_rounding_moves_is_not_joined()
    {
        var plan = Plan(Network.Vector(4).Linear(6).Tanh().Linear(3), keepAll: false);
        Assert.IsFalse(plan.Train.Any(s => s.Kernel.Name.Contains('+', StringComparison.Ordinal)));
    }

    [TestMethod]
    public void The_output_of_a_network_is_written_though_an_activation_ends_it()
    {
        var plan = Plan(Network.Vector(4).Linear(3).Relu(), keepAll: false);
        Assert.AreEqual("Linear.Forward + Relu.Forward", plan.Evaluate.Single(s => s.Kernel.Writes.Contains(plan.Output)).Kernel.Name);
    }

    private static TrainingSession Session(Network network, Backend backend, bool keepAll)
    {
        var options = new PlanOptions(Batch, backend.Precision, new SoftmaxCrossEntropy(), new Sgd(0.1f)) { TotalUpdates = 4, KeepAll = keepAll, LossScale = LossScale.Static(256f) };
        return new TrainingSession(PlanBuilder.Build(network, options), backend);
    }

    private static ExecutionPlan Plan(Network network, bool keepAll) =>
        PlanBuilder.Build(network, new PlanOptions(64, Precision.Mixed, new SoftmaxCrossEntropy(), new Sgd()) { KeepAll = keepAll });
}
