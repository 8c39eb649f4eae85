namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class EmbeddingTests
{
    /// <summary>The least, primes, whole vectors of eight and more than a vector of sixteen; tokens that come once, often, and never; more positions than threads that compare one.</summary>
    private static readonly (int Length, int Vocabulary, int Features, int Batch, int Rows)[] Sizes = [(1, 2, 1, 1, 1), (3, 5, 8, 3, 2), (7, 4, 5, 2, 2), (17, 40, 17, 2, 2), (37, 3, 2, 2, 2)];

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var (length, vocabulary, features, batch, rows) in Sizes)
        {
            var random = new Random(length);
            float[] tokens = [.. Enumerable.Range(0, batch * length).Select(_ => (float)random.Next(1, vocabulary))];
            OpCheck.Run(row.Create(), Network.Tokens(length, vocabulary).Embedding(features),
                v => [.. v.Input.SelectMany(token => v.Parameters[0].Skip((int)token * features).Take(features))], batch, rows: rows, input: tokens);
        }
    }

    /// <summary>A table's gradient is summed in one order, whatever the device, the threads, and the launches; nothing comes to token 0. The last are runs of a token, and more positions than a GPU sorts at once.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_gradient_has_the_same_bits_on_every_device(BackendRow row)
    {
        AssertBits(row.Create(), length: 13, vocabulary: 7, features: 8);
        AssertBits(row.Create(), length: 13, vocabulary: 7, features: 3);
        AssertBits(row.Create(), length: 150, vocabulary: 4, features: 3);
        AssertBits(row.Create(), length: (TokenOrder.Chunk + 50) / 3, vocabulary: 11, features: 8);
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void A_gradient_has_the_same_bits_with_any_number_of_threads(Precision precision)
    {
        foreach (int threads in (int[])[1, 2, 5]) AssertBits(new CpuBackend(precision, threads), length: 700, vocabulary: 3000, features: 19);
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Exports(Precision precision)
    {
        ExportHarness.Run(new CpuBackend(precision), Network.Tokens(3, 5).Embedding(4));
        ExportHarness.Run(new CpuBackend(precision), Network.Tokens(5, 3000).Embedding(4).Relu().Flatten().Linear(2)); // tokens that no half holds
        var tokens = Network.Tokens(4, 6);
        ExportHarness.Run(new CpuBackend(precision), Network.Concat(tokens.Embedding(2), tokens.Embedding(3)).Flatten());
    }

    [TestMethod]
    public void Has_PyTorchs_shape_and_values_but_for_token_0()
    {
        var tokens = Network.Tokens(6, 200);
        Assert.AreEqual((6, 200), (tokens.Length, tokens.Vocabulary));
        var network = tokens.Embedding(50);
        Assert.AreEqual(Shape.Sequence(6, 50), network.Shape);
        Assert.AreEqual(Shape.Vector(6), network.InputShape);
        Assert.AreEqual(200 * 50, network.ParameterCount);
        var parameter = network.Node.Op!.Parameters([Shape.Vector(6)]).Single();
        float[] values = parameter.Initializer.Create(parameter.Length, new CounterRandom(1, 2));
        Assert.IsTrue(values[..50].All(v => v == 0));
        values = values[50..];
        Assert.AreEqual(0, values.Average(), 4 / Math.Sqrt(values.Length));
        Assert.AreEqual(1, Math.Sqrt(values.Average(v => (double)v * v)), 4 / Math.Sqrt(2 * values.Length));
    }

    [TestMethod]
    public void Says_what_is_out_of_range()
    {
        foreach (Action wrong in (Action[])[() => Network.Tokens(0, 2), () => Network.Tokens(1, 1), () => Network.Tokens(1, (1 << 24) + 1), () => Network.Tokens(1, 2).Embedding(0), () => Network.Tokens(1, 1 << 24).Embedding(128)])
            Assert.ThrowsExactly<ArgumentOutOfRangeException>(wrong);
        Assert.AreEqual(1 << 24, Network.Tokens(1, 1 << 24).Vocabulary);
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => Network.Tokens(2, 3).Embedding(4) + Network.Tokens(2, 3).Embedding(4)).Message, "Network.Tokens(...)");
    }

    private static void AssertBits(Backend backend, int length, int vocabulary, int features)
    {
        const int Batch = 3;
        var options = new PlanOptions(Batch, backend.Precision, new PlantedGradient(), new Sgd()) { KeepAll = true };
        using var session = new TrainingSession(PlanBuilder.Build(Network.Tokens(length, vocabulary).Embedding(features), options), backend);
        var (random, batch) = (new Random(5), new Batch(Batch, length, length * features) { RowCount = Batch });
        for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = (int)(vocabulary * random.NextSingle() * random.NextSingle()); // small ones often
        float Stored(float value) => backend.Precision == Precision.Mixed ? (float)(Half)value : value;
        for (int i = 0; i < batch.Values.Length; i++) batch.Values[i] = Stored(2 * random.NextSingle() - 1);
        Array.Fill(batch.Weights, 1f);
        session.TrainPass(batch);

        float[] expected = new float[vocabulary * features];
        foreach (var token in batch.Features.Index().Where(at => at.Item > 0).GroupBy(at => (int)at.Item, at => at.Index))
            foreach (int[] run in token.Chunk(EmbeddingGradient.Run))
                for (int c = 0; c < features; c++)
                {
                    ref float sum = ref expected[token.Key * features + c];
                    if (run.Length < EmbeddingGradient.Run) foreach (int position in run) sum += batch.Values[position * features + c];
                    else sum += run.Aggregate(0f, (sum, position) => sum + batch.Values[position * features + c]);
                }
        Assert.Contains(0f, batch.Features);
        CollectionAssert.AreEqual(expected.Select(Stored).ToArray(), session.Read(session.Plan.Parameters.Parameters[0].Gradient));
    }
}
