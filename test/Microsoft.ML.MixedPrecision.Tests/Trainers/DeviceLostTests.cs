using ILGPU.Runtime.Cuda;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What is left of a training whose device goes away. <see cref="CudaDriverTests"/> has the same through a driver.</summary>
[TestClass]
public sealed class DeviceLostTests
{
    private const int StepsOfEpoch = 3; // 40 rows in batches of 16

    [TestMethod]
    public void The_best_model_of_the_validation_is_kept()
    {
        const int Validations = 2; // passes over 20 rows
        var (e, device) = Train(lostAfter: 3 * (StepsOfEpoch + Validations) + 1, o => o.ValidationSet = TrainerData.Keyed(new MLContext(seed: 1), 20, seed: 4));
        Assert.AreEqual(StopReason.DeviceLost, e.Report.StopReason);
        Assert.HasCount(3, e.Report.Epochs);
        int best = e.Report.Epochs.MinBy(epoch => epoch.ValidationLoss)!.Epoch;
        Assert.AreEqual(best, e.Report.ModelEpoch);
        Assert.StartsWith($"A device that goes away: lost in epoch 4 of 6, after {3 * StepsOfEpoch} updates (it went away). The model of epoch {best}, the best of the validation, is kept: DeviceLostException.Model.", e.Message);
        Assert.IsTrue(e.Kept!.Layers.Count > 0 && device.Abandoned);
    }

    [TestMethod]
    public void Without_validation_the_model_of_a_finished_epoch_is_kept()
    {
        var (e, _) = Train(lostAfter: 2 * StepsOfEpoch + 2, _ => { });
        Assert.IsInRange(1, 2, e.Report.ModelEpoch); // the second is copied where that takes less than a twentieth of the time
        Assert.IsNotNull(e.Kept);
        Assert.DoesNotContain("validation", e.Message);
    }

    [TestMethod]
    public void In_the_first_epoch_nothing_is_kept()
    {
        var (e, _) = Train(lostAfter: 1, _ => { });
        Assert.IsNull(e.Kept);
        Assert.Contains("No model of an earlier epoch is kept.", e.Message);
        Assert.IsInstanceOfType<CudaException>(e.InnerException);
    }

    /// <summary>A copy that the loss interrupts must not have written over the one before.</summary>
    [TestMethod]
    public void A_loss_in_the_middle_of_a_copy_leaves_the_copy_before()
    {
        var (whole, _) = Train(lostAfter: StepsOfEpoch + 1, _ => { });
        var (e, _) = Train(lostAfter: int.MaxValue, _ => { }, copiesUntilLost: 1);
        Assert.AreEqual(1, e.Report.ModelEpoch);
        foreach (var (node, _) in e.Kept!.Layers.Where(layer => layer.Node.Op?.Parameters(layer.Node.InputShapes).Count > 0))
            CollectionAssert.AreEqual(whole.Kept!.Parameter(whole.Kept.Layers.First(l => l.Node == node).Node, 0), e.Kept.Parameter(node, 0));
    }

    [TestMethod]
    public void The_checkpoint_of_the_last_finished_epoch_is_named()
    {
        string folder = Directory.CreateTempSubdirectory("lost").FullName, path = Path.Combine(folder, "training.checkpoint");
        try
        {
            var (e, _) = Train(lostAfter: 2 * StepsOfEpoch + 2, o => o.CheckpointPath = path);
            Assert.EndsWith($"A Fit with the same data and options goes on from the checkpoint {path}.", e.Message);
            Assert.IsTrue(File.Exists(path));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [TestMethod]
    public void Before_the_first_epoch_while_what_is_frozen_is_computed_nothing_is_kept()
    {
        var ml = new MLContext(seed: 1);
        var network = Learned.Of(TrainerData.Network).Freeze().Linear(TrainerData.Classes);
        var options = TrainerData.Options(o => o.Network = network);
        LosingBackend? device = null;
        using var channel = ((IChannelProvider)ml).Start("DeviceLostTests");
        var e = Assert.ThrowsExactly<DeviceLostException>(() => FrozenRows.Of(TrainingData.Load(TrainerData.Keyed(ml, 40), Columns, options, new SoftmaxCrossEntropy(), null, 1), network, Columns, options,
            new DeviceChoice(precision => device = new LosingBackend(precision, 1, int.MaxValue), "for a test"), new TrainingLog(channel)));
        Assert.StartsWith("A device that goes away: lost before the first epoch, while what is frozen was computed (it went away). ", e.Message);
        Assert.IsNull(e.Model);
        Assert.IsTrue(device!.Abandoned);
    }

    private static readonly TrainingColumns Columns = new("Features", "Label", null, ScoringTask.Multiclass, TrainerData.Features, TrainerData.Classes);

    private static readonly Network Trained = TrainerData.Network.Linear(TrainerData.Classes);

    private static (TrainingLostException Error, LosingBackend Device) Train(int lostAfter, Action<MixedPrecisionTrainer.Options> change, int copiesUntilLost = int.MaxValue)
    {
        var ml = new MLContext(seed: 1);
        var options = TrainerData.Options(o =>
        {
            o.Epochs = 6;
            change(o);
        });
        var loss = new SoftmaxCrossEntropy();
        var data = TrainingData.Load(TrainerData.Keyed(ml, 40), Columns, options, loss, null, 1);
        LosingBackend? device = null;
        using var channel = ((IChannelProvider)ml).Start("DeviceLostTests");
        using var run = new TrainingRun(options, Trained, loss, data, new DeviceChoice(precision => device = new LosingBackend(precision, lostAfter, copiesUntilLost), "for a test"), 1, new TrainingLog(channel), options.CheckpointPath is { } path ? new CheckpointFile(path) : null);
        return (Assert.ThrowsExactly<TrainingLostException>(() => run.Run()), device!);
    }

    /// <summary>The CPU, until a number of steps is done, or until the second FP32 tensor of a copy after so many copies.</summary>
    private sealed class LosingBackend(Precision precision, int steps, int copies) : Backend(precision)
    {
        private readonly CpuBackend _cpu = new(precision, 1);
        private int _steps, _parametersRead;

        public override string Device => "A device that goes away";
        public override bool CanBeLost => true;
        public bool Abandoned { get; private set; }
        public override void Abandon() => Abandoned = true;
        public override void Allocate(IReadOnlyDictionary<Region, long> bytes) => _cpu.Allocate(bytes);
        public override void Free(Region region) => _cpu.Free(region);
        public override Action Bind(Kernel kernel) => _cpu.Bind(kernel);
        public override void Upload(Tensor tensor, ReadOnlySpan<float> values) => _cpu.Upload(tensor, values);
        public override void Upload(Tensor tensor, ReadOnlySpan<int> values) => _cpu.Upload(tensor, values);
        public override void Download(Tensor tensor, Span<int> values) => _cpu.Download(tensor, values);
        public override void Synchronize() => _cpu.Synchronize();
        public override void Dispose() => _cpu.Dispose();

        public override Action Record(IReadOnlyList<Work> actions)
        {
            var step = _cpu.Record(actions);
            return () =>
            {
                if (_steps++ == steps) throw new CudaException("it went away.");
                step();
            };
        }

        public override void Download(Tensor tensor, Span<float> values)
        {
            const int Parameters = 4; // two linear layers
            if (tensor.Name.Contains(".Weight", StringComparison.Ordinal) || tensor.Name.Contains(".Bias", StringComparison.Ordinal))
                if (_parametersRead++ == (long)copies * Parameters + 1) throw new CudaException("it went away.");
            _cpu.Download(tensor, values);
        }
    }
}
