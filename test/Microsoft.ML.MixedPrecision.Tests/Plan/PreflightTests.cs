namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What is said before a training that does not fit on its device.</summary>
[TestClass]
public sealed class PreflightTests
{
    private static PlanOptions Options(int batch) => new(batch, Precision.Mixed, new SoftmaxCrossEntropy(), new Adam());

    private static ExecutionPlan Plan(int batch) => PlanBuilder.Build(Problems.ConvNet, Options(batch));

    [TestMethod]
    public void A_plan_that_does_not_fit_names_bytes_asked_bytes_free_and_the_largest_batch()
    {
        var plan = Plan(64);
        long beside = 4 * PortablePlan.MostPartialSums, free = Plan(19).TotalBytes + beside;
        using var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator.WithMemory(free));
        var room = DeviceRoom.Of(backend);
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Preflight.Check(plan, room, Options));
        int largest = Enumerable.Range(1, 63).Last(batch => Plan(batch).TotalBytes + beside <= free);
        Assert.IsGreaterThanOrEqualTo(19, largest);
        Assert.AreEqual(FormattableString.Invariant(
            $"ILGPU simulator: expected {plan.TotalBytes + beside:N0} bytes of memory for a batch of 64, but {free:N0} are free; the largest batch that fits is {largest}: set BatchSize to that, and GradientAccumulationSteps to {(64 + largest - 1) / largest} for an update of as many rows. Memory that other programs hold counts too."), e.Message);
        Preflight.Check(Plan(largest), room, Options);
        Assert.ThrowsExactly<InvalidOperationException>(() => Preflight.Check(Plan(largest + 1), room, Options));
        using var session = new TrainingSession(Plan(largest), backend); // and what the kernels take beside the plan is there
    }

    [TestMethod]
    public void What_products_take_beside_a_plan_is_counted()
    {
        foreach (bool tensorCores in (ReadOnlySpan<bool>)[false, true])
        {
            using var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator.WithMemory(1L << 30), HalfFormat.Native, tensorCores);
            using var session = new TrainingSession(Plan(4), backend);
            Assert.AreEqual(backend.BytesBesidePlan, backend.PartialSums(0).LengthInBytes);
            // Arenas are rounded up to 256 bytes each; nothing else is taken.
            Assert.IsLessThan(5 * 256, (1L << 30) - backend.FreeBytes!.Value - DeviceRoom.Of(backend).BytesOf(session.Plan));
        }
    }

    [TestMethod]
    public void A_network_that_never_fits_is_told_so()
    {
        using var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator.WithMemory(1000));
        Assert.Contains("not even a batch of 1 fits", Assert.ThrowsExactly<InvalidOperationException>(() => Preflight.Check(Plan(4), DeviceRoom.Of(backend), Options)).Message);
    }

    [TestMethod]
    public void A_Fit_that_does_not_fit_says_so_before_it_starts()
    {
        var ml = new MLContext(seed: 1);
        var options = TrainerData.Options(o => (o.BatchSize, o.Network) = (512, Network.Vector(TrainerData.Features).Linear(64).Relu()));
        var data = TrainingData.Load(TrainerData.Keyed(ml, 40), new TrainingColumns("Features", "Label", null, ScoringTask.Multiclass, TrainerData.Features, TrainerData.Classes), options, new SoftmaxCrossEntropy(), null, 1);
        // What the products take, and 200,000 bytes for the plan's weights and some rows.
        long room = 4 * PortablePlan.MostPartialSums + 200_000;
        var device = new DeviceChoice(precision => new IlgpuBackend(precision, IlgpuDevice.Simulator.WithMemory(room)), "for a test");
        var e = Assert.ThrowsExactly<InvalidOperationException>(() =>
            new TrainingRun(options, options.Network!.Linear(TrainerData.Classes), new SoftmaxCrossEntropy(), data, device, 1, null!));
        Assert.Contains($"{room:N0} are free; the largest batch that fits is ", e.Message);
    }

    [TestMethod]
    public void The_memory_of_the_host_is_not_judged()
    {
        using var backend = new CpuBackend(Precision.Mixed);
        Assert.IsNull(backend.FreeBytes);
        Preflight.Check(Plan(4), DeviceRoom.Of(backend), Options);
    }
}
