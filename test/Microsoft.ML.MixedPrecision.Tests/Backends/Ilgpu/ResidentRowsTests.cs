namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Rows that lie on the device: the same bits as rows that are uploaded, and a host that never waits within an epoch.</summary>
[TestClass]
public sealed class ResidentRowsTests
{
    private const int Rows = 21, Batch = 8, Batches = 3, Epochs = 2; // the last batch has 5 rows

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Rows_on_the_device_give_the_bits_of_uploaded_rows(BackendRow row)
    {
        foreach (var task in (ScoringTask[])[ScoringTask.Multiclass, ScoringTask.VectorRegression])
        {
            var set = Set(row.Precision, task);
            CollectionAssert.AreEqual(Train(row, set, task, resident: false), Train(row, set, task, resident: true), $"{task}");
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void The_host_does_not_wait_between_the_first_and_the_last_step_of_an_epoch(BackendRow row)
    {
        var set = Set(row.Precision, ScoringTask.Multiclass);
        var backend = (IlgpuBackend)row.Create();
        using var session = new TrainingSession(Plan(row.Precision, ScoringTask.Multiclass), backend);
        Assert.IsTrue(session.Keep(set.Store!));
        session.BeginPass(Order(1));
        long before = backend.HostWaits;
        for (int i = 0; i < Batches; i++) session.Step(null, update: true);
        Assert.AreEqual(before, backend.HostWaits);
        Assert.AreEqual(Batches, session.ReadReport().Applied);
        Assert.IsGreaterThan(before, backend.HostWaits, "A report waits, and is counted.");
    }

    /// <summary>Rows that are evaluated lie beside those that are trained on; their passes do not disturb each other.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Evaluated_rows_on_the_device_give_the_bits_of_uploaded_rows(BackendRow row)
    {
        var set = Set(row.Precision, ScoringTask.Multiclass);
        var backend = (IlgpuBackend)row.Create();
        using var session = new TrainingSession(Plan(row.Precision, ScoringTask.Multiclass), backend);
        Assert.ThrowsExactly<InvalidOperationException>(session.BeginEvaluation);
        Assert.IsTrue(session.Keep(set.Store!));
        Assert.IsTrue(session.KeepForEvaluation(set.Store!));
        session.BeginPass(Order(1));
        session.Step(null, update: true);
        session.ReadReport();
        for (int i = 0; i < 3; i++)
        {
            var batch = set.NewBatch(Batch);
            using (var pass = set.InOrder())
                while (pass.Fill(batch, default)) session.EvaluatePass(batch);
            var uploaded = session.ReadReport();
            session.BeginEvaluation();
            long before = backend.HostWaits;
            for (int j = 0; j < Batches; j++) session.EvaluatePass(null);
            Assert.AreEqual(before, backend.HostWaits);
            Assert.AreEqual(uploaded, session.ReadReport());
            Assert.AreEqual(Batches, uploaded.Passes);
        }
        session.Step(null, update: true);
        session.Step(null, update: true);
        Assert.AreEqual(Rows - 2 * Batch, session.ReadIntegers(session.Plan.Control.Counters)[StepControl.Rows], "The third batch of the pass that began before.");
    }

    [TestMethod]
    public void A_batch_is_cleared_behind_the_last_row()
    {
        var set = Set(Precision.Mixed, ScoringTask.Multiclass);
        var plan = Plan(Precision.Mixed, ScoringTask.Multiclass);
        using var session = new TrainingSession(plan, new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator), poison: false);
        Assert.IsTrue(session.Keep(set.Store!));
        session.BeginPass(Order(1));
        for (int i = 0; i < Batches; i++) session.Step(null, update: false);
        const int Left = Rows - 2 * Batch;
        Assert.AreEqual(Left, session.ReadIntegers(plan.Control.Counters)[StepControl.Rows]);
        Assert.IsTrue(session.Read(plan.Features).AsSpan(Left * TrainerData.Features).IndexOfAnyExcept(0f) < 0);
        Assert.IsTrue(session.Read(plan.Targets.Weights).AsSpan(0, Left).IndexOf(0f) < 0);
        Assert.IsTrue(session.Read(plan.Targets.Weights).AsSpan(Left).IndexOfAnyExcept(0f) < 0);
        Assert.IsTrue(session.ReadIntegers(plan.Targets.Labels).AsSpan(Left).IndexOfAnyExcept(0) < 0);
    }

    [TestMethod]
    public void Rows_stay_on_the_host_where_the_device_has_no_room_beside_the_plan()
    {
        var set = Set(Precision.Mixed, ScoringTask.Multiclass);
        var plan = Plan(Precision.Mixed, ScoringTask.Multiclass);
        long arenas = plan.Bytes.Values.Sum(bytes => (bytes + 255) / 256 * 256), products = PortablePlan.MostPartialSums * sizeof(float);
        long room = (long)Math.Ceiling(ResidentRows.Bytes(set.Store!) / ResidentRows.ShareOfFreeMemory);
        bool Keeps(long memory)
        {
            using var session = new TrainingSession(plan, new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator.WithMemory(memory)));
            return session.Keep(set.Store!);
        }
        Assert.IsFalse(Keeps(arenas + products + room - 2));
        Assert.IsTrue(Keeps(arenas + products + room));
    }

    [TestMethod]
    public void A_Fit_on_a_device_gathers_there_and_says_so()
    {
        var ml = new MLContext(seed: 1);
        List<string> log = [];
        ml.Log += (_, e) => log.Add(e.Message);
        var data = TrainerData.Keyed(ml, 40);
        var resident = new MixedPrecisionTrainer(ml, TrainerData.Options(o => (o.Device, o.Epochs) = ("simulator", 2))).Fit(data);
        Assert.IsTrue(log.Any(line => line.Contains("The training rows are on the device (640 bytes)", StringComparison.Ordinal)), string.Join('\n', log));
        Assert.IsFalse(log.Any(line => line.Contains("validation rows are on", StringComparison.Ordinal)), string.Join('\n', log));
        var onCpu = new MixedPrecisionTrainer(ml, TrainerData.Options(o => (o.Device, o.Epochs) = ("cpu", 2))).Fit(data);
        Assert.AreEqual(onCpu.Report.Epochs[0].Metric, resident.Report.Epochs[0].Metric, 2.0 / 40, "The same rows in the same order.");
        Assert.AreEqual(1, log.Count(line => line.Contains("on the device (", StringComparison.Ordinal)), "The CPU has them already.");
        var validated = new MixedPrecisionTrainer(ml, TrainerData.Options(o => (o.Device, o.Epochs, o.ValidationFraction) = ("simulator", 2, 0.25f))).Fit(data);
        Assert.IsTrue(log.Any(line => line.Contains("The validation rows are on the device (", StringComparison.Ordinal)), string.Join('\n', log));
        Assert.IsNotNull(validated.Report.Epochs[1].ValidationLoss);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Simulator), typeof(BackendMatrix))]
    public void The_gathering_becomes_clean_PTX(BackendRow row)
    {
        foreach (var task in (ScoringTask[])[ScoringTask.Multiclass, ScoringTask.VectorRegression])
        {
            var backend = (IlgpuBackend)row.Create();
            using var session = new TrainingSession(Plan(row.Precision, task), backend);
            session.Keep(Set(row.Precision, task).Store!);
            Assert.AreEqual(3, backend.Kernels.Count(kernel => kernel.Method.DeclaringType == typeof(ResidentRows)));
            PtxCheck.Verify(backend);
        }
    }

    [TestMethod]
    public void An_order_of_another_length_is_refused()
    {
        var set = Set(Precision.Single, ScoringTask.Multiclass);
        using var session = new TrainingSession(Plan(Precision.Single, ScoringTask.Multiclass), new IlgpuBackend(Precision.Single, IlgpuDevice.Simulator));
        Assert.ThrowsExactly<InvalidOperationException>(() => session.BeginPass([0]));
        session.Keep(set.Store!);
        Assert.Contains("21", Assert.ThrowsExactly<ArgumentException>(() => session.BeginPass([0, 1])).Message);
    }

    private static float[] Train(BackendRow row, RowSet set, ScoringTask task, bool resident)
    {
        var plan = Plan(row.Precision, task);
        using var session = new TrainingSession(plan, row.Create());
        if (resident) Assert.IsTrue(session.Keep(set.Store!));
        var batch = set.NewBatch(Batch);
        for (int epoch = 1; epoch <= Epochs; epoch++)
        {
            if (resident) session.BeginPass(Order(epoch));
            using var pass = set.Shuffled(5, epoch);
            for (int i = 0; i < Batches; i++)
            {
                Assert.IsTrue(pass.Fill(batch, default));
                session.Step(resident ? null : batch, update: true);
            }
        }
        var report = session.ReadReport();
        return [.. session.Read(plan.Parameters.Masters), (float)report.LossSum, (float)report.WeightSum, (float)report.MetricSum];
    }

    private static int[] Order(int epoch)
    {
        var order = new int[Rows];
        new ShuffleOrder(5, epoch).Permute(order);
        return order;
    }

    internal static ExecutionPlan Plan(Precision precision, ScoringTask task) => PlanBuilder.Build(
        Network.Vector(TrainerData.Features).Linear(5).Relu().Linear(task == ScoringTask.Multiclass ? TrainerData.Classes : 2),
        new PlanOptions(Batch, precision, task == ScoringTask.Multiclass ? new SoftmaxCrossEntropy() : new MeanSquaredError(), new Adam()) { TotalUpdates = 16 });

    internal static RowSet Set(Precision precision, ScoringTask task)
    {
        var ml = new MLContext(seed: 1);
        bool classes = task == ScoringTask.Multiclass;
        var columns = new TrainingColumns("Features", classes ? "Label" : "Values", "Weight", task, TrainerData.Features, classes ? TrainerData.Classes : 2);
        var data = TrainerData.Keyed(ml, Rows);
        var set = new RowSet(data, columns, precision, null, _ => true, 1 << 20, "");
        using var reader = new RowReader(data, columns, precision, null, "");
        while (reader.Read()) set.Admit(reader);
        return set;
    }
}
