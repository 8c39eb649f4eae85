namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What a batch leaves in the log, and what its gradients start with.</summary>
[TestClass]
public sealed class LossTotalTests
{
    private const float Scale = 1024f, Before = 77f;
    private static readonly float[] s_losses = [1f, 0.5f, 4f, 0f, 0.25f], s_weights = [1f, 2f, 4f, 0f, 1f], s_metrics = [1f, 0f, 4f, 0f, 0.125f];

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_sums_go_to_the_log_and_the_gradients_are_divided_by_weights_and_micro_steps(BackendRow row)
    {
        var (log, slot, seed) = Run(row, s_weights, microSteps: 4, training: true, slot: 3);
        CollectionAssert.AreEqual(new[] { 5.75f, 8f, 5.125f, StepControl.TrainedPass }, log);
        Assert.AreEqual((4, Scale / 32), (slot, seed));
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void An_evaluation_leaves_the_seed_alone(BackendRow row)
    {
        var (log, slot, seed) = Run(row, s_weights, 1, training: false, slot: 0);
        Assert.AreEqual((1, Before), (slot, seed));
        Assert.AreEqual(StepControl.EvaluatedPass, log[StepControl.LogKind]);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Rows_that_weigh_nothing_give_no_gradient(BackendRow row) =>
        Assert.AreEqual(0f, Run(row, new float[5], 1, training: true, slot: 0).Seed);

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_log_starts_again_after_its_last_entry(BackendRow row)
    {
        var (log, slot, _) = Run(row, s_weights, 1, training: true, slot: StepControl.LogCapacity - 1);
        CollectionAssert.AreEqual(new[] { 5.75f, 8f, 5.125f, StepControl.TrainedPass }, log);
        Assert.AreEqual(0, slot);
    }

    /// <summary>As many rows as 64 threads have several of, and a rest: each once. Whole numbers, so that no order rounds.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Every_row_of_a_large_batch_counts_once(BackendRow row)
    {
        float[] values = [.. Enumerable.Range(1, 333).Select(i => (float)i)];
        var (log, _, seed) = Run(row, values, 1, training: true, slot: 0, values, [.. values.Select(v => -v)]);
        CollectionAssert.AreEqual(new[] { 55611f, 55611f, -55611f, StepControl.TrainedPass }, log);
        Assert.AreEqual(Scale / 55611f, seed);
    }

    private static (float[] Log, int Slot, float Seed) Run(BackendRow row, float[] weights, int microSteps, bool training, int slot, float[]? losses = null, float[]? metrics = null)
    {
        using var backend = row.Create();
        var (rows, control) = (new LossRows(weights.Length), new StepControl());
        LossRun.Allocate(backend, [rows.Losses, rows.Weights, rows.Metrics, control.Counters, control.Scales, control.Log]);
        var (counters, scales) = (new int[StepControl.CounterCount], new float[StepControl.ScaleCount]);
        counters[StepControl.LogSlot] = slot;
        (scales[StepControl.Scale], scales[StepControl.LossSeed]) = (Scale, Before);
        backend.Upload(rows.Losses, losses ?? s_losses);
        backend.Upload(rows.Weights, weights);
        backend.Upload(rows.Metrics, metrics ?? s_metrics);
        backend.Upload(control.Counters, counters);
        backend.Upload(control.Scales, scales);
        backend.Bind(new LossTotal(rows, control, microSteps, training))();
        backend.Download(control.Counters, counters);
        int entry = slot * StepControl.LogWidth;
        return (LossRun.Read(backend, control.Log)[entry..(entry + StepControl.LogWidth)], counters[StepControl.LogSlot], LossRun.Read(backend, control.Scales)[StepControl.LossSeed]);
    }
}
