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

    /// <summary>As a captured step on a GPU may run its kernels.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void Any_order_that_keeps_the_waits_changes_no_bit(BackendRow row) =>
        ForEach(network => AssertSameBits(network, row.Create(), keepAll: false, new ReorderedBackend(row.Create(), seed: 1), keepAllOfOther: false, poison: false));

    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void A_session_goes_on_from_the_state_of_another(BackendRow row) => ForEach(network =>
    {
        using TrainingSession whole = Session(network, row.Create(), keepAll: false), resumed = Session(network, row.Create(), keepAll: false);
        for (uint i = 0; i < 2; i++) Problems.Step(whole, Rows(network, i));
        whole.ReadReport(); // as after an epoch
        using var file = new MemoryStream();
        SessionState.Write(whole, new BinaryWriter(file));
        file.Position = 0;
        using var reader = new BinaryReader(file);
        SessionState.Read(resumed, reader);
        foreach (var session in (TrainingSession[])[whole, resumed]) Problems.Step(session, Rows(network, 2));
        CollectionAssert.AreEqual(whole.Read(whole.Plan.Parameters.Masters), resumed.Read(resumed.Plan.Parameters.Masters));
        foreach (var (expected, actual) in whole.Plan.Buffers.Zip(resumed.Plan.Buffers)) CollectionAssert.AreEqual(whole.Read(expected.Values), resumed.Read(actual.Values), expected.Values.Name);
    });

    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void The_export_computes_what_the_training_does(BackendRow row) => ForEach(network => ExportHarness.Run(row.Create(), network, spread: 0.5));

    [TestMethod, DynamicData(nameof(OnAnyMachine))]
    public void The_gradients_of_a_GPU_are_those_of_the_CPU(BackendRow row) => ForEach(network => AssertCloseToCpu(network, row));

    [TestMethod, DynamicData(nameof(OnTensorCores))]
    public void The_gradients_of_tensor_cores_are_those_of_the_CPU(BackendRow row) => ForEach(network => AssertCloseToCpu(network, row), wholeChunks: true);

    public static IEnumerable<TestDataRow<BackendRow>> OnAnyMachine => [.. BackendMatrix.Simulator, .. BackendMatrix.Ptx];

    public static IEnumerable<TestDataRow<BackendRow>> OnTensorCores => [BackendMatrix.Ampere, BackendMatrix.Hopper];

    private static void ForEach(Action<Network> check, bool wholeChunks = false)
    {
        var failures = new List<string>();
        for (int seed = 0; seed < s_networks; seed++)
        {
            var network = RandomNetwork.Of(seed, Classes, wholeChunks);
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

    /// <summary>To the largest gradient of them all: those of layer norms and batch norms are differences, of which other orders of sums leave little.</summary>
    private static void AssertCloseToCpu(Network network, BackendRow row)
    {
        using TrainingSession cpu = Session(network, new CpuBackend(row.Precision), keepAll: false), gpu = Session(network, row.Create(), keepAll: false);
        foreach (var session in (TrainingSession[])[cpu, gpu]) session.TrainPass(Rows(network, 1));
        float[] expected = cpu.Read(cpu.Plan.Parameters.Gradients), actual = gpu.Read(gpu.Plan.Parameters.Gradients);
        if (expected.All(float.IsFinite)) Tolerance.AssertClose([.. expected.Select(v => (double)v)], actual, row.Precision, roundings: 20, operations: 4000, "gradients");
        else Assert.IsFalse(actual.All(float.IsFinite)); // a step that both skip: behind a batch norm of what hardly differs gradients are beyond a half
    }

    private static void AssertSameBits(Network network, Backend one, bool keepAll, Backend other, bool keepAllOfOther, bool poison = true)
    {
        using TrainingSession first = Session(network, one, keepAll), second = Session(network, other, keepAllOfOther, poison);
        foreach (var session in (TrainingSession[])[first, second])
            for (uint i = 0; i < 2; i++) Problems.Step(session, Rows(network, i));
        float[] expected = first.Read(first.Plan.Parameters.Masters), actual = second.Read(second.Plan.Parameters.Masters);
        Assert.IsTrue(expected.All(float.IsFinite));
        CollectionAssert.AreEqual(expected, actual);
    }

    private static TrainingSession Session(Network network, Backend backend, bool keepAll, bool poison = true)
    {
        var options = new PlanOptions(Batch, backend.Precision, new SoftmaxCrossEntropy(), new Sgd(0.05f, momentum: 0.9f)) { Seed = 2, TotalUpdates = 4, KeepAll = keepAll, LossScale = LossScale.Static(backend.Precision == Precision.Mixed ? 64f : 1f) };
        return new TrainingSession(PlanBuilder.Build(network, options), backend, poison);
    }

    /// <summary>The last row is padding.</summary>
    private static Batch Rows(Network network, uint seed)
    {
        var random = new CounterRandom(seed, 77);
        var batch = new Batch(Batch, network.InputShape.Size, 0) { RowCount = Batch - 1 };
        for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = Features.Of(network, i, CounterRandom.ToUnit(random.Bits((uint)i)));
        for (int i = 0; i < Batch; i++) (batch.Classes[i], batch.Weights[i]) = (i % Classes, 1f);
        return batch;
    }
}
