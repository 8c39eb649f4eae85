using System.Globalization;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What holds for every network, on networks that nobody thought of: 50, or as many as MIXED_PRECISION_RANDOM_NETWORKS says. A failure names the seed, which gives the network again.</summary>
[TestClass]
public sealed class RandomNetworksTests
{
    private const int Batch = 5, Classes = 3;

    /// <summary>Each takes 0.1 s.</summary>
    private static readonly int s_networks = int.Parse(Environment.GetEnvironmentVariable("MIXED_PRECISION_RANDOM_NETWORKS") ?? "50", CultureInfo.InvariantCulture);

    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void Joined_kernels_change_no_bit(BackendRow row) => ForEach(network => AssertSameBits(network, row.Create(), keepAll: true, row.Create(), keepAllOfOther: false));

    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void The_number_of_threads_changes_no_bit(BackendRow row) =>
        ForEach(network => AssertSameBits(network, new CpuBackend(row.Precision, threads: 1), keepAll: false, new CpuBackend(row.Precision, threads: 3), keepAllOfOther: false));

    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void The_export_computes_what_the_training_does(BackendRow row) => ForEach(network => ExportHarness.Run(row.Create(), network, spread: 0.5));

    [TestMethod]
    public void The_gradients_of_two_backends_agree() => ForEach(network =>
    {
        using TrainingSession cpu = Session(network, new CpuBackend(Precision.Single), keepAll: false), simulator = Session(network, new IlgpuBackend(Precision.Single, IlgpuDevice.Simulator), keepAll: false);
        foreach (var session in (TrainingSession[])[cpu, simulator]) session.TrainPass(Rows(network, 1));
        // Through layer norms and batch norms, whose gradients are differences, to the largest of them all.
        Tolerance.AssertClose([.. cpu.Read(cpu.Plan.Parameters.Gradients).Select(v => (double)v)], simulator.Read(simulator.Plan.Parameters.Gradients), Precision.Single, roundings: 0, operations: 4000, "gradients");
    });

    private static void ForEach(Action<Network> check)
    {
        var failures = new List<string>();
        for (int seed = 0; seed < s_networks; seed++)
        {
            var network = RandomNetwork.Of(seed, Classes);
            try
            {
                check(network);
            }
            catch (Exception e)
            {
                failures.Add($"seed {seed}, {string.Join(" ", network.Node.Sorted().Select(n => $"{n.Name}[{n.Shape}]"))}: {e.GetType().Name} {e.Message}");
            }
        }
        if (failures.Count > 0) Assert.Fail($"{failures.Count} of {s_networks}:\n{string.Join("\n", failures.Take(10))}");
    }

    private static void AssertSameBits(Network network, Backend one, bool keepAll, Backend other, bool keepAllOfOther)
    {
        using TrainingSession first = Session(network, one, keepAll), second = Session(network, other, keepAllOfOther);
        foreach (var session in (TrainingSession[])[first, second])
            for (uint i = 0; i < 2; i++) Problems.Step(session, Rows(network, i));
        float[] expected = first.Read(first.Plan.Parameters.Masters), actual = second.Read(second.Plan.Parameters.Masters);
        Assert.IsTrue(expected.All(float.IsFinite));
        CollectionAssert.AreEqual(expected, actual);
    }

    private static TrainingSession Session(Network network, Backend backend, bool keepAll)
    {
        var options = new PlanOptions(Batch, backend.Precision, new SoftmaxCrossEntropy(), new Sgd(0.05f)) { Seed = 2, TotalUpdates = 4, KeepAll = keepAll, LossScale = LossScale.Static(backend.Precision == Precision.Mixed ? 64f : 1f) };
        return new TrainingSession(PlanBuilder.Build(network, options), backend, poison: true);
    }

    /// <summary>The last row is padding.</summary>
    private static Batch Rows(Network network, uint seed)
    {
        var random = new CounterRandom(seed, 77);
        var batch = new Batch(Batch, network.InputShape.Size, 0) { RowCount = Batch - 1 };
        for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = 2 * CounterRandom.ToUnit(random.Bits((uint)i)) - 1;
        for (int i = 0; i < Batch; i++) (batch.Classes[i], batch.Weights[i]) = (i % Classes, 1f);
        return batch;
    }
}
