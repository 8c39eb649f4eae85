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
        long free = Plan(19).TotalBytes;
        using var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator.WithMemory(free));
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Preflight.Check(plan, backend, Options));
        int largest = Enumerable.Range(1, 63).Last(batch => Plan(batch).TotalBytes <= free);
        Assert.IsGreaterThanOrEqualTo(19, largest);
        Assert.AreEqual(FormattableString.Invariant(
            $"ILGPU simulator: expected {plan.TotalBytes:N0} bytes of memory for a batch of 64, but {free:N0} are free; the largest batch that fits is {largest}: set BatchSize to that, and GradientAccumulationSteps to {(64 + largest - 1) / largest} for an update of as many rows. Memory that other programs hold counts too."), e.Message);
        Preflight.Check(Plan(largest), backend, Options);
        Assert.ThrowsExactly<InvalidOperationException>(() => Preflight.Check(Plan(largest + 1), backend, Options));
    }

    [TestMethod]
    public void A_network_that_never_fits_is_told_so()
    {
        using var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator.WithMemory(1000));
        Assert.Contains("not even a batch of 1 fits", Assert.ThrowsExactly<InvalidOperationException>(() => Preflight.Check(Plan(4), backend, Options)).Message);
    }

    [TestMethod]
    public void A_Fit_that_does_not_fit_says_so_before_it_starts()
    {
        var ml = new MLContext(seed: 1);
        var options = TrainerData.Options(o => (o.BatchSize, o.Network) = (512, Network.Vector(TrainerData.Features).Linear(64).Relu()));
        var data = TrainingData.Load(TrainerData.Keyed(ml, 40), new TrainingColumns("Features", "Label", null, ScoringTask.Multiclass, TrainerData.Features, TrainerData.Classes), options, new SoftmaxCrossEntropy(), null, 1);
        // 200,000 bytes hold the plan's weights and some rows; the backend itself refuses what is beyond the preflight's own count.
        var device = new DeviceChoice(precision => new IlgpuBackend(precision, IlgpuDevice.Simulator.WithMemory(200_000)), "for a test");
        var e = Assert.ThrowsExactly<InvalidOperationException>(() =>
            new TrainingRun(options, options.Network!.Linear(TrainerData.Classes), new SoftmaxCrossEntropy(), data, device, 1, null!));
        Assert.Contains("200,000 are free; the largest batch that fits is ", e.Message);
    }

    [TestMethod]
    public void The_memory_of_the_host_is_not_judged()
    {
        using var backend = new CpuBackend(Precision.Mixed);
        Assert.IsNull(backend.FreeBytes);
        Preflight.Check(Plan(4), backend, Options);
    }
}
