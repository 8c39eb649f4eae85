namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Trainings that end in the middle, and go on from their checkpoint.</summary>
[TestClass]
public sealed class ResumeTests
{
    private const int Epochs = 5, EndsAfter = 2;

    private readonly MLContext _ml = new(seed: 1);
    private readonly List<string> _log = [];
    private readonly string _folder = Directory.CreateTempSubdirectory("resume").FullName;

    public ResumeTests() => _ml.Log += (_, e) => _log.Add(e.Message);

    private string File => Path.Combine(_folder, "training.checkpoint");

    [TestCleanup]
    public void Remove() => Directory.Delete(_folder, recursive: true);

    public static IEnumerable<object[]> Trainings =>
    [
        Training("mixed", _ => { }),
        Training("single", o => o.Precision = Precision.Single),
        Training("running statistics, dropout, Adam's moments, a schedule", o => (o.Network, o.Optimizer, o.Schedule) =
            (Network.Vector(TrainerData.Features).Linear(16).BatchNorm().Relu().Dropout(0.3f), new Adam(1e-2f), Schedule.Cosine(warmup: 3))),
        Training("a group of batches across the end of the epoch", o => o.GradientAccumulationSteps = 4), // of 7 batches
        Training("the best epoch of a validation", o => (o.ValidationFraction, o.EarlyStopping, o.Optimizer) = (0.3f, new EarlyStopping(Patience: 2), new Sgd(2f, 0.9f))),
        Training("rows read in each epoch", o => o.CacheBytes = 30 * 16),
        Training("rows in order", o => o.Shuffle = false),
        Training("layers that are frozen, and others that start from values", o => o.Network = Learned.Of(TrainerData.Network.BatchNorm().Linear(8)).Freeze().Dropout(0.3f)),
        Training("a GPU's kernels", o => o.Device = "simulator"),
    ];

    [TestMethod]
    [DynamicData(nameof(Trainings))]
    public void They_give_the_file_of_a_training_that_did_not_end(string name, Action<MixedPrecisionTrainer.Options> change)
    {
        using var whole = Fit(change);
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Fit(change, Interrupted(new Kill())));
        Assert.AreEqual(Kill.Text, e.Message);
        using var resumed = Fit(change, o => o.CheckpointPath = File);

        CollectionAssert.AreEqual(TrainerData.Onnx(whole, OnnxPrecision.Single), TrainerData.Onnx(resumed, OnnxPrecision.Single), name);
        CollectionAssert.AreEqual(Comparable(whole.Report), Comparable(resumed.Report), name);
        Assert.AreEqual((whole.Report.ModelEpoch, whole.Report.StopReason, whole.Report.AppliedUpdates, whole.Report.SkippedUpdates),
            (resumed.Report.ModelEpoch, resumed.Report.StopReason, resumed.Report.AppliedUpdates, resumed.Report.SkippedUpdates));
        Assert.AreEqual((0, EndsAfter), (whole.Report.ResumedEpochs, resumed.Report.ResumedEpochs));
        Assert.Contains($"Going on behind epoch {EndsAfter} of {Epochs}, from the checkpoint {File}.", string.Join('\n', _log));
        Assert.IsEmpty(Directory.GetFileSystemEntries(_folder), "The training has ended by itself: nothing is left.");
    }

    /// <summary>Networks and options that nobody thought of. Those that diverge do so in the same epoch, and are none.</summary>
    [TestMethod]
    public void Any_training_gives_the_file_of_one_that_did_not_end()
    {
        int compared = 0;
        for (int seed = 0; seed < 40; seed++)
        {
            var change = Any(seed);
            MixedPrecisionTransformer whole;
            try
            {
                whole = Fit(change);
            }
            catch (InvalidOperationException e) when (e.Message.Contains("diverge", StringComparison.Ordinal))
            {
                continue;
            }
            using (whole)
            {
                Assert.AreEqual(Kill.Text, Assert.ThrowsExactly<InvalidOperationException>(() => Fit(change, Interrupted(new Kill())), $"seed {seed}").Message, $"seed {seed}");
                using var resumed = Fit(change, o => o.CheckpointPath = File);
                CollectionAssert.AreEqual(TrainerData.Onnx(whole, OnnxPrecision.Single), TrainerData.Onnx(resumed, OnnxPrecision.Single), $"seed {seed}");
                CollectionAssert.AreEqual(Comparable(whole.Report), Comparable(resumed.Report), $"seed {seed}");
            }
            compared++;
        }
        Assert.IsGreaterThan(30, compared);
    }

    private static Action<MixedPrecisionTrainer.Options> Any(int seed)
    {
        var random = new Random(seed);
        T One<T>(params ReadOnlySpan<T> of) => of[random.Next(of.Length)];
        var input = One(Network.Vector(TrainerData.Features), Network.Sequence(2, TrainerData.Features / 2), Network.Image(TrainerData.Features, 1, 1));
        Network network = new RandomNetwork(random).From(input).Linear(6).Relu();
        float rate = One(1e-3f, 1e-2f);
        Optimizer optimizer = One<Optimizer>(new Sgd(rate), new Sgd(rate, 0.9f, nesterov: true), new Adam(rate), new AdamW(rate));
        var schedule = One(Schedule.Constant(), Schedule.Cosine(warmup: 4), Schedule.Step(2, 0.5), Schedule.OneCycle());
        var (batch, steps, clip, shuffle, cache) = (random.Next(1, 40), random.Next(1, 5), One(float.PositiveInfinity, 0.5f), random.Next(3) > 0, One(1L << 30, 40 * 16));
        var (precision, scale, weight) = (One(Precision.Mixed, Precision.Single), One<LossScale?>(null, LossScale.Static(256f), LossScale.Dynamic(growthInterval: 5)), One(null, nameof(TrainerData.Row.Weight)));
        float validation = One(0f, 0.3f);
        var stopping = validation > 0 ? One<EarlyStopping?>(null, new EarlyStopping(Patience: 2)) : null;
        return o =>
        {
            (o.Network, o.Optimizer, o.Schedule, o.BatchSize, o.GradientAccumulationSteps, o.GradientClipNorm, o.Shuffle) = (network, optimizer, schedule, batch, steps, clip, shuffle);
            (o.CacheBytes, o.Precision, o.LossScale, o.ExampleWeightColumnName, o.ValidationFraction, o.EarlyStopping) = (cache, precision, scale, weight, validation, stopping);
        };
    }

    [TestMethod]
    public void A_cancellation_is_a_pause()
    {
        using var whole = Fit(_ => { });
        using var source = new CancellationTokenSource();
        using var paused = Fit(Interrupted(new Cancel(source)), o => o.CancellationToken = source.Token);
        Assert.AreEqual((StopReason.Cancelled, EndsAfter), (paused.Report.StopReason, paused.Report.ModelEpoch));
        Assert.Contains($"A Fit with the same data and options goes on from the checkpoint {File}.", string.Join('\n', _log));
        using var resumed = Fit(o => o.CheckpointPath = File);
        CollectionAssert.AreEqual(TrainerData.Onnx(whole), TrainerData.Onnx(resumed));
    }

    [TestMethod]
    public void The_seed_is_that_of_the_file_where_none_is_given()
    {
        var ml = new MLContext();
        using var source = new CancellationTokenSource();
        var data = TrainerData.Keyed(_ml, 100);
        MixedPrecisionTransformer Fit(Action<MixedPrecisionTrainer.Options> change) =>
            new MixedPrecisionTrainer(ml, TrainerData.Options(o => { (o.Epochs, o.Seed, o.LeastTimePerCheckpoint) = (Epochs, null, 0); change(o); })).Fit(data);

        using var paused = Fit(o => { Interrupted(new Cancel(source))(o); o.CancellationToken = source.Token; });
        using var resumed = Fit(o => o.CheckpointPath = File);
        using var whole = Fit(o => o.Seed = paused.Report.Seed);
        Assert.AreEqual(paused.Report.Seed, resumed.Report.Seed);
        CollectionAssert.AreEqual(TrainerData.Onnx(whole), TrainerData.Onnx(resumed));
    }

    [TestMethod]
    [DynamicData(nameof(OptionsTests.Changing), typeof(OptionsTests))]
    public void Another_training_does_not_go_on_from_it(string field, Action<MixedPrecisionTrainer.Options> change)
    {
        Assert.ThrowsExactly<InvalidOperationException>(() => Fit(o => o.Epochs = 4, Interrupted(new Kill()), o => o.Epochs = 4));
        byte[] before = System.IO.File.ReadAllBytes(File);
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Fit(o => o.Epochs = 4, change, o => o.CheckpointPath = File), field);
        Assert.StartsWith($"CheckpointPath: {File} is of another training: of ", e.Message, field);
        Assert.EndsWith("or delete the file to train from the start.", e.Message);
        CollectionAssert.AreEqual(before, System.IO.File.ReadAllBytes(File), "What was learned is lost.");
    }

    /// <summary>Layers and shapes are the same; what the layers are given, what they read and the order of the pixels are not.</summary>
    [TestMethod]
    public void Another_network_does_not_go_on_from_it()
    {
        Network vector = Network.Vector(4).Linear(8), sequence = Network.Sequence(2, 2).Linear(4), image = Network.Image(1, 2, 2).Flatten();
        foreach (var (one, other) in ((Network, Network)[])
            [
                (vector.Dropout(0.3f), vector.Dropout(0.4f)), (vector.LayerNorm(), vector.LayerNorm(1e-3f)), (vector.LeakyRelu(), vector.LeakyRelu(0.2f)),
                (vector.BatchNorm(), vector.BatchNorm(momentum: 0.2f)), (vector.Relu() + vector, vector.Relu() + vector.Relu()),
                (sequence.SelfAttention(1).Flatten(), sequence.SelfAttention(2).Flatten()), (sequence.SelfAttention(1).Flatten(), sequence.SelfAttention(1, causal: true).Flatten()), (sequence.AvgPool1d(2, padding: 1).Flatten(), sequence.AvgPool1d(2, padding: 1, countIncludePad: false).Flatten()),
                (sequence.Lstm(2, returnSequence: false), sequence.Apply(new Lstm(2, returnSequence: false, reverse: true), null)), (Network.Image(2, 2, 1).Augment(1).Flatten(), Network.Image(2, 2, 1).Augment(1, flip: true).Flatten()), (image, Network.Image(1, 2, 2, PixelOrder.Interleaved).Flatten()),
            ])
        {
            Assert.ThrowsExactly<InvalidOperationException>(() => Fit(o => o.Network = one, Interrupted(new Kill())));
            var e = Assert.ThrowsExactly<InvalidOperationException>(() => Fit(o => o.Network = other, o => o.CheckpointPath = File), $"{other.Node.Name}");
            Assert.StartsWith($"CheckpointPath: {File} is of another training: of layer ", e.Message);
            System.IO.File.Delete(File);
        }
    }

    [TestMethod]
    public void Other_rows_do_not_go_on_from_it()
    {
        Assert.ThrowsExactly<InvalidOperationException>(() => Fit(Interrupted(new Kill())));
        var e = Assert.ThrowsExactly<InvalidOperationException>(() =>
            new MixedPrecisionTrainer(_ml, TrainerData.Options(o => (o.Epochs, o.CheckpointPath) = (Epochs, File))).Fit(TrainerData.Keyed(_ml, 100, seed: 4)));
        Assert.Contains("is of another training: of the rows to train on it expects 100 (checksum ", e.Message);
    }

    [TestMethod]
    [DataRow(0, "begins like another kind of file")]
    [DataRow(4, "expected version 1, got")]
    [DataRow(20, "")]
    public void A_file_that_is_none_is_said_to_be_none_and_kept(int place, string why)
    {
        Assert.ThrowsExactly<InvalidOperationException>(() => Fit(Interrupted(new Kill())));
        byte[] bytes = System.IO.File.ReadAllBytes(File);
        bytes[place] ^= 0xFF;
        System.IO.File.WriteAllBytes(File, place == 20 ? bytes[..^5] : bytes);
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Fit(o => o.CheckpointPath = File));
        Assert.StartsWith("CheckpointPath: ", e.Message);
        Assert.Contains(why, e.Message);
        Assert.IsTrue(System.IO.File.Exists(File));
    }

    [TestMethod]
    public void A_folder_that_is_not_there_is_said_before_anything_is_read()
    {
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Fit(o => o.CheckpointPath = Path.Combine(_folder, "none", "x")));
        Assert.StartsWith("CheckpointPath: expected a file in a folder that exists, got ", e.Message);
    }

    [TestMethod]
    public void They_are_written_as_often_as_they_take_little_of_the_time()
    {
        // No training of milliseconds is a million times as long as a write: the one after the first epoch is the only one.
        Assert.ThrowsExactly<InvalidOperationException>(() => Fit(Interrupted(new Kill()), o => o.LeastTimePerCheckpoint = 1_000_000));
        using var resumed = Fit(o => o.CheckpointPath = File);
        Assert.AreEqual(1, resumed.Report.ResumedEpochs);
    }

    [TestMethod]
    public void A_checkpoint_that_cannot_be_written_does_not_end_the_training()
    {
        Directory.CreateDirectory(File + ".tmp"); // where the next one is written before it replaces the last
        using var model = Fit(o => o.CheckpointPath = File);
        using var whole = Fit(_ => { });
        CollectionAssert.AreEqual(TrainerData.Onnx(whole), TrainerData.Onnx(model));
        Assert.Contains($"The checkpoint {File} could not be written after epoch 1 (", string.Join('\n', _log));
    }

    [TestMethod]
    public void A_checkpoint_that_cannot_be_deleted_does_not_cost_the_model()
    {
        using var model = Fit(Interrupted(new Obstacle(File)));
        Assert.AreEqual(StopReason.Completed, model.Report.StopReason);
        Assert.Contains($"The checkpoint {File} could not be deleted (", string.Join('\n', _log));
    }

    private MixedPrecisionTransformer Fit(params Action<MixedPrecisionTrainer.Options>[] changes) =>
        new MixedPrecisionTrainer(_ml, TrainerData.Options(o =>
        {
            (o.Epochs, o.LeastTimePerCheckpoint) = (Epochs, 0);
            foreach (var change in changes) change(o);
        })).Fit(TrainerData.Keyed(_ml, 100));

    private Action<MixedPrecisionTrainer.Options> Interrupted(IProgress<TrainingProgress> by) => o => (o.CheckpointPath, o.Progress) = (File, by);

    private static object[] Training(string name, Action<MixedPrecisionTrainer.Options> change) => [name, change];

    private static EpochReport[] Comparable(TrainingReport report) => [.. report.Epochs.Select(e => e with { Duration = default })];

    /// <summary>Ends a training at once, behind an epoch.</summary>
    private sealed class Kill : IProgress<TrainingProgress>
    {
        public const string Text = "Killed.";

        public void Report(TrainingProgress value)
        {
            if (value is { IsEndOfEpoch: true, Epoch: EndsAfter }) throw new InvalidOperationException(Text);
        }
    }

    private sealed class Cancel(CancellationTokenSource source) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value)
        {
            if (value is { IsEndOfEpoch: true, Epoch: EndsAfter }) source.Cancel();
        }
    }

    /// <summary>Puts a folder where the file is, when nothing more is written.</summary>
    private sealed class Obstacle(string file) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value)
        {
            if (value is not { IsEndOfEpoch: true, Epoch: Epochs }) return;
            System.IO.File.Delete(file);
            Directory.CreateDirectory(file);
        }
    }
}
