namespace Microsoft.ML.MixedPrecision;

public sealed partial class MixedPrecisionTrainer
{
    /// <summary>
    /// How to train. Only <see cref="Network"/> must be set. The trainer copies the options when it is made: later changes have
    /// no effect on it.
    /// </summary>
    public sealed class Options
    {
#pragma warning disable CA1051 // ML.NET's convention: the options of a trainer are public fields
        /// <summary>The column of features: a vector of <see cref="float"/> of the size of the network's input, or what <see cref="Network.Tokens"/> takes. "Features" by default.</summary>
        public string FeatureColumnName = DefaultColumnNames.Features;

        /// <summary>The column of tokens of a network that begins with <see cref="Network.Table"/>, which takes numbers from <see cref="FeatureColumnName"/>; no other network reads it. "Tokens" by default.</summary>
        public string TokenColumnName = "Tokens";

        /// <summary>
        /// The column of labels. "Label" by default. Its type is the task: a key with values is multiclass classification, a
        /// Boolean binary classification, a <see cref="float"/> or a vector of them regression. A regression trains best on labels of
        /// magnitude around 1: scale large ones.
        /// </summary>
        public string LabelColumnName = DefaultColumnNames.Label;

        /// <summary>The column of example weights, <see cref="float"/>, finite and at least 0; null (the default): every row weighs 1. A weight of 2 counts as two equal rows in a batch.</summary>
        public string? ExampleWeightColumnName;

        /// <summary>
        /// The network, required. The trainer appends the last layer, a Linear with as many outputs as the label needs; where the
        /// network ends in a Linear of exactly that width, that one is it. Softmax and sigmoid are part of the losses.
        /// </summary>
        public Network? Network;

        /// <summary>What is minimized; null (the default): softmax cross entropy for a key label, sigmoid cross entropy for a Boolean, mean squared error for values.</summary>
        public Loss? Loss;

        /// <summary>How gradients change the weights, with the learning rate; null (the default): Adam with PyTorch's defaults, a learning rate of 0.001.</summary>
        public Optimizer? Optimizer;

        /// <summary>How the learning rate changes over the applied updates; null (the default): it stays the same.</summary>
        public Schedule? Schedule;

        /// <summary>Passes over the training data; 10 by default, at least 1.</summary>
        public int Epochs = 10;

        /// <summary>Rows that are processed at once; 64 by default, at least 1. Larger ones are faster and take more memory; one larger than the data is one batch that is part empty.</summary>
        public int BatchSize = 64;

        /// <summary>
        /// Whether the rows come in another order in each epoch, a function of seed and epoch; true by default. Rows are kept in memory up to
        /// 1 GiB (as halves in mixed precision); a data set that is larger is read from its source in each epoch and shuffled
        /// within a window of that size, which the log says. If false, the rows come in the order of the data.
        /// </summary>
        public bool Shuffle = true;

        /// <summary>
        /// Batches whose gradients are averaged into one update; 1 by default, at least 1. A group may run across the end of an
        /// epoch; the last one of a training may be short, and is then the mean of what it has.
        /// </summary>
        public int GradientAccumulationSteps = 1;

        /// <summary>The L2 norm that the gradient of all weights, unscaled, is cut to; above 0. Infinity, the default, cuts nothing.</summary>
        public float GradientClipNorm = float.PositiveInfinity;

        /// <summary>Mixed precision (the default), or the same training in FP32.</summary>
        public Precision Precision = Precision.Mixed;

        /// <summary>How the loss is scaled in mixed precision; null (the default): dynamically, from 65536. Without effect in single precision.</summary>
        public LossScale? LossScale;

        /// <summary>Rows to validate on after each epoch, with the same columns as the training data; null by default. Not together with <see cref="ValidationFraction"/>.</summary>
        public IDataView? ValidationSet;

        /// <summary>The share of the training rows that is not trained but validated on, chosen at random by the seed; 0 (the default, none) to below 1.</summary>
        public float ValidationFraction;

        /// <summary>Ends the training when the validation no longer improves; null (the default): all epochs. Needs a validation.</summary>
        public EarlyStopping? EarlyStopping;

        /// <summary>
        /// The device: "cpu", "cuda:0", "opencl:0". Null (the default): <see cref="MLContext.GpuDeviceId"/>, and the CPU where that is null. A device
        /// that is not there is an error, or the CPU where <see cref="MLContext.FallbackToCpu"/> says so.
        /// </summary>
        public string? Device;

        /// <summary>
        /// Threads that train on the CPU, the one that calls Fit included; 0 (the default): one per core, at most 4096. More than the machine has cores for this
        /// process are not used, and the log says so. The bits of a run do not depend on it. Without effect on a GPU, on the one thread
        /// that reads rows ahead, and on scoring, where ONNX Runtime has threads of its own.
        /// </summary>
        public int Threads;

        /// <summary>
        /// Of initial weights, shuffles, the split and dropout: with one seed, a run on the same device repeats bit for bit. Null (the default): the
        /// seed of the <see cref="MLContext"/>, and where that has none, another one for each trainer.
        /// </summary>
        public int? Seed;

        /// <summary>Is told how far the training is, about ten times a second; null by default.</summary>
        public IProgress<TrainingProgress>? Progress;

        /// <summary>
        /// Whether some steps of the training (15, after 50 to warm up; the last ones of a training that is shorter) are timed kernel by kernel: a table in
        /// <see cref="MLContext.Log"/>, and <see cref="TrainingReport.Profile"/>. They are steps of the training like any other, and the
        /// model's bits stay the same; each kernel is waited for, which makes these steps a little slower. False by default.
        /// </summary>
        public bool Profile;

        /// <summary>
        /// A file that is written after epochs, and deleted when the training has ended by itself; null (the default): none. A Fit that finds it goes on behind the epoch that it was written after: after a kill, a
        /// cancellation (which makes that a pause), or the loss of a GPU; on the same device bit for bit as if nothing had been between. Data and options must be those of the Fit that wrote it, but for device,
        /// threads, progress, profile and token; the seed is the file's where none is given. It is written after the first epoch, and then after each one, as far as that takes at most a twentieth of the
        /// training's time. It holds FP32 weights and optimizer state, 12 bytes a trainable value with Adam, and with a validation the best weights, 4 more. Not for several trainings at once.
        /// </summary>
        public string? CheckpointPath;

        /// <summary>
        /// Ends the training early: Fit returns the best model so far (the last one without a validation) and says so in the log. Cancelled before
        /// the first update, Fit throws <see cref="OperationCanceledException"/>.
        /// </summary>
        public CancellationToken CancellationToken;
#pragma warning restore CA1051

        /// <summary>Bytes of rows kept in memory; fixed, so that a run is the same on every machine.</summary>
        internal long CacheBytes = 1L << 30;

        /// <summary>See <see cref="FrozenRows"/>; false to show that it changes no bit.</summary>
        internal bool ComputesFrozenOnce = true;

        /// <summary>How many times as long as its checkpoints take a training goes on before it writes another.</summary>
        internal int LeastTimePerCheckpoint = 20;

        private const int MaxThreads = 4096;

        internal Options Copy() => (Options)MemberwiseClone();

        /// <exception cref="ArgumentOutOfRangeException">A field is outside its range; the message names it.</exception>
        /// <exception cref="ArgumentException">The device is not the name of one.</exception>
        internal void Validate()
        {
            Expect(!string.IsNullOrWhiteSpace(FeatureColumnName), nameof(FeatureColumnName), FeatureColumnName, "the name of a column");
            Expect(!string.IsNullOrWhiteSpace(TokenColumnName), nameof(TokenColumnName), TokenColumnName, "the name of a column");
            Expect(!string.IsNullOrWhiteSpace(LabelColumnName), nameof(LabelColumnName), LabelColumnName, "the name of a column");
            Expect(ExampleWeightColumnName is null || !string.IsNullOrWhiteSpace(ExampleWeightColumnName), nameof(ExampleWeightColumnName), ExampleWeightColumnName, "the name of a column, or null");
            Expect(Network is not null, nameof(Network), null, "a network; start one with Network.Vector or Network.Image");
            Expect(Epochs >= 1, nameof(Epochs), Epochs, "at least 1");
            Expect(BatchSize >= 1, nameof(BatchSize), BatchSize, "at least 1");
            Expect(GradientAccumulationSteps >= 1, nameof(GradientAccumulationSteps), GradientAccumulationSteps, "at least 1");
            Expect(GradientClipNorm > 0f, nameof(GradientClipNorm), GradientClipNorm, "a norm above 0; infinity for no clipping");
            Expect(Enum.IsDefined(Precision), nameof(Precision), Precision, "Mixed or Single");
            Expect(ValidationFraction is >= 0f and < 1f, nameof(ValidationFraction), ValidationFraction, "a fraction from 0 to below 1");
            Expect(ValidationSet is null || ValidationFraction == 0f, nameof(ValidationFraction), ValidationFraction, "0, because ValidationSet is set; use one of them");
            DeviceSelector.Validate(Device);
            Expect(CheckpointPath is null || !string.IsNullOrWhiteSpace(CheckpointPath), nameof(CheckpointPath), CheckpointPath, "the path of a file, or null");
            Expect(Threads is >= 0 and <= MaxThreads, nameof(Threads), Threads, $"0 for one per core, or a number of threads up to {MaxThreads}");
            EarlyStopping?.Validate();
            Expect(EarlyStopping is null || ValidationSet is not null || ValidationFraction > 0f, nameof(EarlyStopping), EarlyStopping, "a ValidationSet or a ValidationFraction for it to watch");
            Optimizer?.Validate();
            Loss?.Validate();
        }

        private static void Expect(bool valid, string field, object? value, string expected)
        {
            if (!valid) throw new ArgumentOutOfRangeException(field, value, FormattableString.Invariant($"{field}: expected {expected}, got {value ?? "null"}."));
        }
    }

    private static class DefaultColumnNames
    {
        public const string Features = "Features", Label = "Label";
    }
}
