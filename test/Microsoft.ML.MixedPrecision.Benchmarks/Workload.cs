namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>A network and a batch, as the peers train them: SGD with momentum 0.9, cross entropy, random data made once.</summary>
internal sealed record Workload(string Name, int Batch, int Classes, Func<Network> Network)
{
    public static IReadOnlyList<Workload> All { get; } =
    [
        new("mlp-small", 32, 2, () => MixedPrecision.Network.Vector(32).Linear(64).Relu().Linear(32).Relu().Linear(2)),
        new("mlp", 128, 10, () => MixedPrecision.Network.Vector(784).Linear(512).Relu().Linear(256).Relu().Linear(10)),
        new("cnn", 128, 10, () => MixedPrecision.Network.Image(28, 28, 1).Conv2d(32, 3).Relu().Conv2d(64, 3).Relu().MaxPool2d(2).Dropout(0.25f)
            .Flatten().Linear(128).Relu().Dropout(0.5f).Linear(10)),
        new("resnet20", 64, 10, () => Architectures.ResNetSmall(MixedPrecision.Network.Image(32, 32, 3)).Linear(10)),
        new("encoder", 32, 10, () => Architectures.TransformerEncoder(MixedPrecision.Network.Sequence(64, 128).PositionalEmbedding(), layers: 2, heads: 4, dropout: 0f).GlobalAvgPool1d().Linear(10)),
        new("lstm", 32, 10, () => MixedPrecision.Network.Sequence(64, 64).Lstm(256, returnSequence: false).Linear(10)),
        new("words", 32, 10, () => Words(MixedPrecision.Network.Tokens(64, 20_000))),
        new("resnet50", 128, 1000, () => Architectures.ResNet50(MixedPrecision.Network.Image(224, 224, 3)).Linear(1000)),
        new("mlp-100m", 64, 10, () => Enumerable.Range(0, 6).Aggregate(MixedPrecision.Network.Vector(4096), (x, _) => x.Linear(4096).Relu()).Linear(10)),
    ];

    /// <summary>Those that a CPU trains in reasonable time: what is measured where nobody says what.</summary>
    public static IEnumerable<Workload> Common => All.Where(w => w.Name != "resnet50");

    /// <summary>A workload, with the batch that was asked for.</summary>
    public static Workload Named(string name) => All.FirstOrDefault(w => w.Name == name) is { } found
        ? found with { Batch = Target.Batch ?? found.Batch }
        : throw new ArgumentException($"Expected one of {string.Join(", ", All.Select(w => w.Name))}, got '{name}'.");

    private static Network Words(TokenInput tokens) =>
        Architectures.TransformerEncoder(tokens.Embedding(128).PositionalEmbedding(), layers: 2, heads: 4, dropout: 0f, mask: tokens).GlobalAvgPool1d(tokens).Linear(10);

    public ExecutionPlan Plan(Precision precision) =>
        PlanBuilder.Build(Network(), new PlanOptions(Batch, precision, new SoftmaxCrossEntropy(), new Sgd(0.01f, momentum: 0.9f)) { Seed = 1 });

    public Batch RandomBatch(Network network) => RandomBatch(network, Batch, Classes);

    /// <summary>A batch of normally distributed features, or of texts that fill half of their positions and more, and random classes.</summary>
    public static Batch RandomBatch(Network network, int rows, int classes)
    {
        var random = new Random(1);
        int features = network.InputShape.Size, vocabulary = network.InputFormat.Vocabulary;
        var batch = new Batch(rows, features, 0) { RowCount = rows };
        for (int row = 0; row < rows; row++)
        {
            var values = batch.Features.AsSpan(row * features, features);
            if (vocabulary > 0) values = values[..random.Next((features + 1) / 2, features + 1)];
            foreach (ref float value in values)
                value = vocabulary > 0 ? random.Next(1, vocabulary) : (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        }
        for (int i = 0; i < rows; i++) batch.Classes[i] = random.Next(classes);
        Array.Fill(batch.Weights, 1f);
        return batch;
    }
}
