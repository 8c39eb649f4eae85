using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// What is frozen gives the same values for a row in every epoch. They are computed once, before the first one, and trained on as features: with the same bits, and without the time and the memory of
/// all that is frozen. ML.NET's image trainer calls them bottleneck values.
/// </summary>
internal static class FrozenRows
{
    /// <returns>The rows, and the layer whose values they have now; null where nothing is frozen, or not all up to one point (<see cref="Freeze.Cut"/>), or where they do not fit in memory.</returns>
    /// <exception cref="InvalidOperationException">The frozen layers do not fit on the device.</exception>
    public static (TrainingData Data, Node Layer)? Of(TrainingData data, Network network, TrainingColumns columns, MixedPrecisionTrainer.Options options, DeviceChoice device, TrainingLog log)
    {
        if (!options.ComputesFrozenOnce || Freeze.Cut(network.Node) is not { } cut) return null;
        var computed = columns with { FeatureCount = cut.Shape.Size, Format = new(PixelOrder.Interleaved), Tokens = null };
        if (!data.Training.HasRoomFor(computed) || data.Validation?.HasRoomFor(computed) == false) return null;

        PlanOptions OptionsOf(int batch) => new(batch, options.Precision, new MeanSquaredError(), MixedPrecisionTrainer.DefaultOptimizer()) { ForwardOnly = true, WithoutLoss = true };
        using var session = TrainingSession.Open(network.UpTo(cut), options.BatchSize, OptionsOf, () => device.Create(options.Precision));
        float[] values = new float[session.Plan.Output.Length];
        try
        {
            var training = data.Training.With(computed, options.BatchSize, Compute, options.CancellationToken);
            var validation = data.Validation?.With(computed, options.BatchSize, Compute, options.CancellationToken);
            log.Frozen(cut.Name, training.Store!, validation?.Store);
            return (new TrainingData { Training = training, Validation = validation }, cut);
        }
        catch (AcceleratorException e) when (session.CanBeLost)
        {
            session.Abandon();
            throw new DeviceLostException($"{session.Device}: lost before the first epoch, while what is frozen was computed ({e.Message.TrimEnd('.')}). See what the system's log says of the device, and train again, there or on the CPU (Device = \"cpu\").", null, e);
        }

        float[] Compute(Batch batch)
        {
            session.EvaluatePass(batch);
            session.ReadOutput(values);
            return values;
        }
    }
}
