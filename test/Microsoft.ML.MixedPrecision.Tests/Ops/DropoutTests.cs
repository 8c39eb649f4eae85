namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class DropoutTests
{
    private const int Batch = 3, Size = 37;

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Both_directions_drop_the_same_elements_and_scale_the_others(BackendRow row)
    {
        using var session = Session(row, 0.25f);
        var (y, dx) = Pass(session);
        for (int i = 0; i < y.Length; i++)
        {
            Assert.AreEqual(y[i] == 0f, dx[i] == 0f, $"element {i}");
            if (y[i] == 0f) continue;
            Tolerance.AssertClose([1 / 0.75], y.AsSpan(i, 1), row.Precision, 1, 2, "kept");
            Tolerance.AssertClose([2 / 0.75], dx.AsSpan(i, 1), row.Precision, 1, 2, "gradient");
        }
        Assert.IsTrue(y.Any(v => v == 0f) && y.Any(v => v != 0f));
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_mask_is_the_same_on_every_device_changes_from_pass_to_pass_and_repeats_with_the_seed(BackendRow row)
    {
        using var cpu = new TrainingSession(Plan(Precision.Single, 0.5f, 1), new CpuBackend(Precision.Single));
        using var first = Session(row, 0.5f);
        using var second = Session(row, 0.5f);
        using var other = Session(row, 0.5f, seed: 2);
        var mask = Mask(Pass(first).Y);
        CollectionAssert.AreEqual(Mask(Pass(cpu).Y), mask);
        CollectionAssert.AreEqual(mask, Mask(Pass(second).Y));
        CollectionAssert.AreNotEqual(mask, Mask(Pass(other).Y));
        CollectionAssert.AreNotEqual(mask, Mask(Pass(first).Y));

        static bool[] Mask(float[] y) => [.. y.Select(v => v == 0f)];
    }

    [TestMethod]
    public void The_share_that_falls_is_p()
    {
        var plan = PlanBuilder.Build(Network.Vector(50_000).Dropout(0.3f), new PlanOptions(1, Precision.Single, new PlantedGradient(), new Sgd()) { KeepAll = true });
        using var session = new TrainingSession(plan, new CpuBackend(Precision.Single));
        var batch = new Batch(1, 50_000, 50_000) { RowCount = 1 };
        Array.Fill(batch.Features, 1f);
        session.TrainPass(batch);
        double share = session.Read(plan.TrainOutputs["Dropout1"]).Count(v => v == 0f) / 50_000.0;
        double deviation = Math.Sqrt(0.3 * 0.7 / 50_000);
        Assert.AreEqual(0.3, share, 5 * deviation); // five standard deviations of a binomial share
    }

    [TestMethod]
    public void Each_layer_drops_its_own()
    {
        var network = Network.Vector(1000);
        var plan = PlanBuilder.Build(Network.Concat(network.Dropout(name: "a"), network.Dropout(name: "b")), new PlanOptions(1, Precision.Single, new PlantedGradient(), new Sgd()) { KeepAll = true });
        using var session = new TrainingSession(plan, new CpuBackend(Precision.Single));
        var batch = new Batch(1, 1000, 2000) { RowCount = 1 };
        Array.Fill(batch.Features, 1f);
        session.TrainPass(batch);
        float[] a = session.Read(plan.TrainOutputs["a"]), b = session.Read(plan.TrainOutputs["b"]);
        int both = a.Zip(b, (x, y) => x == 0f && y == 0f).Count(fallen => fallen);
        Assert.AreEqual(250, both, 5 * Math.Sqrt(1000 * 0.25 * 0.75)); // a quarter, if they know nothing of each other
    }

    [TestMethod]
    public void Has_the_default_of_PyTorch() => Defaults.AssertEqual(nameof(Network.Dropout), ("p", 0.5f));

    [TestMethod]
    public void Inference_passes_its_input_on()
    {
        using var session = new TrainingSession(Plan(Precision.Single, 0.5f, 1), new CpuBackend(Precision.Single));
        session.EvaluatePass(Ones());
        var y = new float[Batch * Size];
        session.ReadOutput(y);
        Assert.IsTrue(y.All(v => v == 1f));
    }

    [TestMethod]
    public void Exports() => ExportHarness.Run(new CpuBackend(Precision.Mixed), Network.Vector(6).Linear(5).Dropout(0.4f).Linear(3));

    [TestMethod]
    public void Refuses_values_outside_their_range()
    {
        foreach (float p in new[] { -0.1f, 1f, float.NaN }) Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Vector(2).Dropout(p));
    }

    private static ExecutionPlan Plan(Precision precision, float p, uint seed) =>
        PlanBuilder.Build(Network.Vector(Size).Dropout(p), new PlanOptions(Batch, precision, new PlantedGradient(), new Sgd()) { KeepAll = true, InputGradient = true, Seed = seed });

    private static TrainingSession Session(BackendRow row, float p, uint seed = 1) => new(Plan(row.Precision, p, seed), row.Create());

    private static (float[] Y, float[] InputGradient) Pass(TrainingSession session)
    {
        session.TrainPass(Ones());
        return (session.Read(session.Plan.TrainOutputs["Dropout1"]), session.Read(session.Plan.InputGradient!));
    }

    private static Batch Ones()
    {
        var batch = new Batch(Batch, Size, Size) { RowCount = Batch };
        Array.Fill(batch.Features, 1f);
        Array.Fill(batch.Values, 2f);
        return batch;
    }
}
