namespace Microsoft.ML.MixedPrecision;

/// <summary>What of a training is on the host after an epoch.</summary>
/// <param name="Epochs">The finished ones.</param>
/// <param name="Passes">Batches trained on so far: where the group of an update may have begun.</param>
/// <param name="Duration">So far.</param>
/// <param name="Rule">What early stopping remembers.</param>
/// <param name="Best">The model of the best epoch, where it may be asked for.</param>
internal sealed record RunState(IReadOnlyList<EpochReport> Epochs, int Passes, TimeSpan Duration, StoppingState Rule, TrainedNetwork? Best)
{
    public void Write(BinaryWriter to, ExecutionPlan plan)
    {
        to.Write(Epochs.Count);
        foreach (var epoch in Epochs)
        {
            to.Write(epoch.Loss);
            to.Write(epoch.Metric);
            to.Write(epoch.ValidationLoss ?? double.NaN);
            to.Write(epoch.ValidationMetric ?? double.NaN);
            to.Write(epoch.ValidationLoss is not null);
            to.Write(epoch.LearningRate);
            to.Write(epoch.LossScale);
            to.Write(epoch.AppliedUpdates);
            to.Write(epoch.SkippedUpdates);
            to.Write(epoch.Duration.Ticks);
        }
        to.Write(Passes);
        to.Write(Duration.Ticks);
        to.Write(Rule.Best);
        to.Write(Rule.Reference);
        to.Write(Rule.Without);
        to.Write(Rule.BestEpoch);
        to.Write(Best is not null);
        Best?.Write(to, plan);
    }

    public static RunState Read(BinaryReader from, ExecutionPlan plan)
    {
        var epochs = new EpochReport[from.ReadInt32()];
        for (int i = 0; i < epochs.Length; i++)
        {
            double loss = from.ReadDouble(), metric = from.ReadDouble(), validationLoss = from.ReadDouble(), validationMetric = from.ReadDouble();
            bool validated = from.ReadBoolean();
            epochs[i] = new EpochReport(i + 1, loss, metric, validated ? validationLoss : null, validated ? validationMetric : null,
                from.ReadDouble(), from.ReadSingle(), from.ReadInt32(), from.ReadInt32(), new TimeSpan(from.ReadInt64()));
        }
        return new RunState(epochs, from.ReadInt32(), new TimeSpan(from.ReadInt64()),
            new StoppingState(from.ReadDouble(), from.ReadDouble(), from.ReadInt32(), from.ReadInt32()), from.ReadBoolean() ? TrainedNetwork.Read(from, plan) : null);
    }
}
