namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Small trainings that the tests of the paper's claims share.</summary>
internal static class Problems
{
    /// <summary>A batch whose values are a function of the seed.</summary>
    public static Batch Random(int rows, int features, int classes, uint seed)
    {
        var random = new CounterRandom(seed, 77);
        var batch = new Batch(rows, features, 0) { RowCount = rows };
        for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = 2 * CounterRandom.ToUnit(random.Bits((uint)i)) - 1;
        for (int i = 0; i < rows; i++)
        {
            // The class is where the largest of the first features lies: something to learn.
            int best = 0;
            for (int c = 1; c < classes; c++) if (batch.Features[i * features + c] > batch.Features[i * features + best]) best = c;
            batch.Classes[i] = best;
        }
        Array.Fill(batch.Weights, 1f);
        return batch;
    }

    /// <summary>Every kind of reduction and of random number: conv, batch norm, pooling, dropout, bias, softmax.</summary>
    public static Network ConvNet { get; } = Network.Image(6, 6, 2)
        .Conv2d(8, 3, padding: 1).BatchNorm().Relu().MaxPool2d(2).Conv2d(5, 3, padding: 1).LayerNorm().Gelu().Dropout(0.25f)
        .GlobalAvgPool2d().Linear(12).Relu().Linear(3);

    public static TrainingSession Session(Network network, Precision precision, int batch, Optimizer? optimizer = null, Func<PlanOptions, PlanOptions>? change = null, int threads = 0, bool poison = false)
    {
        var options = new PlanOptions(batch, precision, new SoftmaxCrossEntropy(), optimizer ?? new Adam()) { Seed = 3, TotalUpdates = 1000 };
        return new TrainingSession(PlanBuilder.Build(network, change?.Invoke(options) ?? options), new CpuBackend(precision, threads), poison);
    }

    public static void Step(TrainingSession session, Batch batch)
    {
        session.TrainPass(batch);
        session.Update();
    }

    /// <summary>The mean loss of the last steps of a training.</summary>
    public static double Train(TrainingSession session, int steps, Func<int, Batch> batch, int last = 10)
    {
        for (int i = 0; i < steps; i++)
        {
            if (i == steps - last) session.ReadReport();
            Step(session, batch(i));
        }
        var report = session.ReadReport();
        return report.LossSum / report.WeightSum;
    }
}
