using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// Every kernel as a GPU would run it, and what it touches: no byte that its Reads and Writes do not name. A captured step orders kernels by these
/// alone, so that one that keeps something to itself is a race.
/// </summary>
[TestClass]
public sealed class DeclaredAccessTests
{
    private const int Rows = 2;

    [TestMethod]
    [DataRow(Precision.Mixed, 8)]
    [DataRow(Precision.Mixed, 3)]
    [DataRow(Precision.Single, 8)]
    [DataRow(Precision.Single, 3)]
    public void Every_kernel_touches_what_it_declares(Precision precision, int channels)
    {
        foreach (var plan in KernelCatalog.Plans(precision, channels)) Train(plan, WatchedBackend.Create(CudaArchitecture.SM_80, precision));
    }

    /// <summary>Convolutions with groups and a stride, in whole chunks of eight and not; batch norm and bias gradients whose sums a product takes; k that is cut into parts.</summary>
    [TestMethod]
    [DataRow(Precision.Mixed, false, false)]
    [DataRow(Precision.Mixed, true, false)]
    [DataRow(Precision.Mixed, true, true)]
    [DataRow(Precision.Single, false, false)]
    public void Every_product_touches_what_it_declares(Precision precision, bool tensorCores, bool warpGroups)
    {
        var architecture = warpGroups ? CudaArchitecture.SM_90 : CudaArchitecture.SM_80;
        var options = new PlanOptions(Rows, precision, new SoftmaxCrossEntropy(), new Sgd(0.1f, momentum: 0.9f)) { InputGradient = true, LossScale = LossScale.Dynamic(initial: 8f) };
        foreach (int channels in (int[])[8, 3])
        {
            var convolutions = Network.Image(6, 6, channels).Conv2d(64 / channels * channels, 3, padding: 1, groups: channels).Relu()
                .Conv2d(64, 3, stride: 2, padding: 1).Relu().Conv2d(16, 3, padding: 1, groups: 2).Conv2d(16, 1).BatchNorm().Flatten().Linear(5);
            Train(PlanBuilder.Build(convolutions, options), WatchedBackend.Create(architecture, precision, tensorCores, warpGroups));

            // The gradient of a stride's phases sums over four taps of all filters: from 1,750 or so on parts pay, on warp groups too.
            var deep = WatchedBackend.Create(architecture, precision, tensorCores, warpGroups);
            Train(PlanBuilder.Build(Network.Image(4, 4, channels).Conv2d(440 + channels, 3, stride: 2, padding: 1).Flatten().Linear(5), options), deep);
            foreach (string cut in (string[])["Linear.Forward", "Conv2d.InputGradient"]) Assert.Contains(cut, deep.WithScratch);
        }
    }

    [TestMethod]
    [DataRow(Precision.Mixed, true)]
    [DataRow(Precision.Mixed, false)]
    [DataRow(Precision.Single, true)]
    [DataRow(Precision.Single, false)]
    public void What_gathers_batches_touches_what_it_declares(Precision precision, bool classes)
    {
        var task = classes ? ScoringTask.Multiclass : ScoringTask.VectorRegression;
        var rows = ResidentRowsTests.Set(precision, task).Store!;
        var backend = WatchedBackend.Create(CudaArchitecture.SM_80, precision);
        using var session = new TrainingSession(ResidentRowsTests.Plan(precision, task), backend);
        Assert.IsTrue(session.Keep(rows) && session.KeepForEvaluation(rows));
        session.BeginPass([.. Enumerable.Range(0, rows.Count)]);
        session.BeginEvaluation();
        int batches = (rows.Count + session.Plan.Options.Batch - 1) / session.Plan.Options.Batch; // the last one is short
        for (int i = 0; i < batches; i++)
        {
            session.Step(null, update: true);
            session.EvaluatePass(null);
        }
        Assert.AreEqual(batches, session.ReadReport().Applied);
    }

    [TestMethod]
    public void An_update_that_is_skipped_touches_what_it_declares()
    {
        var options = new PlanOptions(Rows, Precision.Mixed, new SoftmaxCrossEntropy(), new Adam()) { LossScale = LossScale.Dynamic(initial: 1e30f) };
        var plan = PlanBuilder.Build(Network.Vector(8).Linear(3), options);
        using var session = new TrainingSession(plan, WatchedBackend.Create(CudaArchitecture.SM_80, Precision.Mixed));
        session.Step(NewBatch(plan, Rows), update: true);
        Assert.AreEqual(1, session.ReadReport().Skipped);
    }

    [TestMethod]
    public void A_kernel_that_keeps_a_tensor_to_itself_is_named()
    {
        using var backend = WatchedBackend.Create(CudaArchitecture.SM_80, Precision.Mixed);
        backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = 4 * MemoryPlanner.Alignment });
        Tensor New(string name, int block, int length) => new(name, ElementType.Working, Region.Activations, length) { ArenaOffset = block * MemoryPlanner.Alignment };
        Tensor a = New("a", 0, 12), b = New("b", 1, 12), y = New("y", 2, 12), wide = New("wide", 3, 24);
        var add = new AddForward(a, b, y);
        Run(add); // with whole vectors, four elements beyond each end
        Assert.Contains("Add.Forward reads byte 0 of b [12] Working, which it does not declare", Fault(new Secretive(add, b)));
        Assert.Contains("Add.Forward writes byte 0 of y [12] Working, which it does not declare", Fault(new Secretive(add, y)));

        // What lies behind a part of a tensor may be another's.
        Tensor first = wide.Slice("first", 0, 12), second = wide.Slice("second", 12, 12);
        Assert.Contains("Add.Forward writes byte 0 of second [12] Working, which it does not declare", Fault(new AddForward(a, b, first), new Work(() => { }, [second], [])));

        void Run(Kernel kernel, params ReadOnlySpan<Work> beside) => backend.Record([new(backend.Bind(kernel), kernel.Reads, kernel.Writes), .. beside])();
        string Fault(Kernel kernel, params Work[] beside) => Assert.ThrowsExactly<AssertFailedException>(() => Run(kernel, beside)).Message;
    }

    /// <summary>Says nothing of a tensor that its kernel touches.</summary>
    private sealed class Secretive(Kernel kernel, Tensor hidden) : Kernel
    {
        public override string Name => kernel.Name;
        public override IReadOnlyList<Tensor> Reads => [.. kernel.Reads.Where(tensor => tensor != hidden)];
        public override IReadOnlyList<Tensor> Writes => [.. kernel.Writes.Where(tensor => tensor != hidden)];
        public override Action BindCpu<T, TStorage>(CpuBackend cpu) => kernel.BindCpu<T, TStorage>(cpu);
        public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => kernel.BindGpu<T, TStorage>(gpu);
    }

    private static void Train(ExecutionPlan plan, WatchedBackend backend)
    {
        using var session = new TrainingSession(plan, backend, poison: true);
        var first = NewBatch(plan, Rows);
        for (int pass = 1; pass < plan.Options.AccumulationSteps; pass++) session.Step(first, update: false);
        session.Step(NewBatch(plan, Rows - 1), update: true);
        session.EvaluatePass(first);
        Assert.AreEqual(1, session.ReadReport().Applied);
        Assert.IsGreaterThan(plan.Train.Count, backend.Launches);
    }

    private static Batch NewBatch(ExecutionPlan plan, int rows)
    {
        bool classes = plan.Targets.Labels.Element == ElementType.Int32;
        var batch = new Batch(Rows, plan.Features.Dimensions[1], classes ? 0 : plan.Targets.Labels.Dimensions[1]) { RowCount = rows };
        var random = new Random(rows);
        for (int i = 0; i < batch.Features.Length / Rows * rows; i++) batch.Features[i] = Features.Of(plan.Network, i, random.NextSingle());
        for (int i = 0; i < batch.Values.Length / Rows * rows; i++) batch.Values[i] = random.NextSingle();
        for (int i = 0; i < rows; i++) batch.Weights[i] = 1f;
        if (classes) for (int i = 0; i < rows; i++) batch.Classes[i] = i;
        return batch;
    }
}
