namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class SelfAttentionTests
{
    /// <summary>One position, one head; primes; heads in whole vectors of eight and not; more positions than a tile has rows.</summary>
    private static readonly (int Length, int Features, int Heads, int Batch, int Rows)[] Sizes = [(1, 2, 1, 2, 2), (3, 6, 2, 3, 2), (7, 5, 5, 1, 1), (4, 16, 2, 2, 2), (19, 8, 1, 1, 1)];

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var (length, features, heads, batch, rows) in Sizes)
            OpCheck.Run(row.Create(), Network.Sequence(length, features).SelfAttention(heads), v => Reference(v, length, features, heads), batch, roundings: 12, rows: rows);
    }

    /// <summary>Keys of token 0 are left out, for each head of their example; an example may have no other, nor any.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Leaves_out_what_the_mask_does(BackendRow row)
    {
        foreach (var (length, features, heads, causal) in ((int, int, int, bool)[])[(3, 6, 2, false), (8, 8, 1, false), (3, 6, 2, true), (8, 8, 1, true)])
        {
            float[] input = [.. Enumerable.Range(0, 3 * length).Select(i => i < length ? i % 3 : i < 2 * length ? i % length == 1 ? 2 : 0 : 0f)];
            var tokens = Network.Tokens(length, 3);
            double[]? none = null; // the vector of token 0 is no parameter
            OpCheck.Run(row.Create(), tokens.Embedding(features).SelfAttention(heads, mask: tokens, causal: causal), v =>
            {
                none ??= [.. v.Parameters[0].Take(features)];
                double[] x = [.. v.Input.SelectMany(token => token == 0 ? none : v.Parameters[0].Skip((int)token * features).Take(features))];
                return Reference(new(v.Batch, x, [.. v.Parameters.Skip(1)]), length, features, heads, v.Input, causal);
            }, batch: 3, roundings: 12, input: input);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Causal_equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var (length, features, heads, batch, rows) in Sizes)
            OpCheck.Run(row.Create(), Network.Sequence(length, features).SelfAttention(heads, causal: true), v => Reference(v, length, features, heads, causal: true), batch, roundings: 12, rows: rows);
    }

    /// <summary>Bit for bit, in both precisions: not a small weight of what comes later, but none.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Causal_positions_do_not_see_what_comes_later(BackendRow row)
    {
        const int Length = 8, Features = 4;
        float[] Output(int changedFrom, bool causal)
        {
            using var session = ExportHarness.NewSession(row.Create(), Network.Sequence(Length, Features).SelfAttention(2, causal: causal), rows: 1, spread: 1, seed: 4, out Batch sample);
            for (int i = changedFrom * Features; i < Length * Features; i++) sample.Features[i] += 1f;
            float[] output = new float[Length * Features];
            session.EvaluatePass(sample);
            session.ReadOutput(output);
            return output;
        }
        for (int position = 1; position < Length; position++)
        {
            CollectionAssert.AreEqual(Output(Length, causal: true)[..(position * Features)], Output(position, causal: true)[..(position * Features)]);
            CollectionAssert.AreNotEqual(Output(Length, causal: false)[..Features], Output(position, causal: false)[..Features]);
        }
    }

    /// <summary>The first query sees itself only, with a score of -100,000: minus infinity as a half, and then no zero in disguise; within FP32 a weight of 1.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Scores_that_overflow_show(BackendRow row)
    {
        var options = new PlanOptions(1, row.Precision, new PlantedGradient(), new Sgd()) { KeepAll = true };
        using var session = new TrainingSession(PlanBuilder.Build(Network.Sequence(3, 1).SelfAttention(1, bias: false, causal: true), options), row.Create());
        session.SetParameter(session.Plan.Parameters.Parameters[0], [-1000f, 100f, 1f]);
        session.SetParameter(session.Plan.Parameters.Parameters[1], [1f]);
        var batch = new Batch(1, 3, 3) { RowCount = 1 };
        Array.Fill(batch.Features, 1f);
        float[] output = new float[3];
        session.EvaluatePass(batch);
        session.ReadOutput(output);
        Assert.AreEqual(row.Precision == Precision.Mixed ? float.NaN : 1f, output[0]);
    }

    /// <summary>More keys than a GPU's threads keep in registers.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Long_rows_are_masked_to_their_end(BackendRow row)
    {
        const int Length = 300;
        float[] Output(Backend backend)
        {
            var tokens = Network.Tokens(Length, 4);
            using var session = ExportHarness.NewSession(backend, tokens.Embedding(1).SelfAttention(1, mask: tokens, causal: true), rows: 1, spread: 1, seed: 4, out Batch sample);
            float[] output = new float[Length];
            session.EvaluatePass(sample);
            session.ReadOutput(output);
            return output;
        }
        foreach (var (i, (expected, actual)) in Output(new CpuBackend(row.Precision)).Zip(Output(row.Create())).Index()) Assert.AreEqual(expected, actual, row.Precision == Precision.Mixed ? 4e-3f : 1e-5f, $"position {i}");
    }

    /// <summary>Enough products for all threads, and longer ones: shared out, not cut.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void Heads_are_shared_out_among_threads(BackendRow row)
    {
        foreach (int threads in (int[])[1, 2, 3])
            OpCheck.Run(new CpuBackend(row.Precision, threads), Network.Sequence(9, 12).SelfAttention(4), v => Reference(v, 9, 12, 4), batch: 2, roundings: 12);
    }

    /// <summary>A query times a key is about 74,000 here, beyond what a half holds; with the scale within the query it is 9,200.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void Large_scores_do_not_overflow(BackendRow row)
    {
        const int Length = 5, Features = 64;
        var network = Network.Sequence(Length, Features).SelfAttention(1);
        using var session = ExportHarness.NewSession(row.Create(), network, rows: 1, spread: 6, seed: 4, out Batch sample);
        float[] output = new float[Length * Features];
        session.EvaluatePass(sample);
        session.ReadOutput(output);
        Assert.IsTrue(output.All(float.IsFinite));
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Exports(Precision precision)
    {
        ExportHarness.Run(new CpuBackend(precision), Network.Sequence(5, 6).SelfAttention(3));
        var tokens = Network.Tokens(5, 3);
        ExportHarness.Run(new CpuBackend(precision), tokens.Embedding(6).SelfAttention(3, mask: tokens));
        ExportHarness.Run(new CpuBackend(precision), tokens.Embedding(6).SelfAttention(2, mask: tokens, causal: true));
        ExportHarness.Run(new CpuBackend(precision), Network.Sequence(5, 6).SelfAttention(2, causal: true));
        ExportHarness.Run(new CpuBackend(precision), Network.Image(4, 6, 2).Conv2d(8, 2, stride: 2).Reshape(6, 8).PositionalEmbedding().SelfAttention(2, bias: false).GlobalAvgPool1d());
    }

    [TestMethod]
    public void Has_the_defaults_of_PyTorch()
    {
        Defaults.AssertEqual(nameof(Network.SelfAttention), ("bias", true), ("mask", null), ("causal", false));
        var network = Network.Sequence(4, 6).SelfAttention(2);
        Assert.AreEqual(Shape.Sequence(4, 6), network.Shape);
        Assert.AreEqual((6 * 18) + 18 + (6 * 6) + 6, network.ParameterCount);
        Assert.AreEqual((6 * 18) + (6 * 6), Network.Sequence(4, 6).SelfAttention(2, bias: false).ParameterCount);
    }

    [TestMethod]
    public void Its_layers_carry_its_name()
    {
        string[] Names(Network network) => [.. network.Node.Sorted().Skip(1).Select(n => n.Name)];
        CollectionAssert.AreEqual((string[])["SelfAttention1.InProjection", "SelfAttention1", "SelfAttention1.OutProjection"], Names(Network.Sequence(4, 6).SelfAttention(2)));
        CollectionAssert.AreEqual((string[])["a.InProjection", "a", "a.OutProjection"], Names(Network.Sequence(4, 6).SelfAttention(2, name: "a")));
        Assert.AreEqual("SelfAttention2", Network.Sequence(4, 6).SelfAttention(2).SelfAttention(1).Node.Sorted()[^2].Name);
    }

    [TestMethod]
    public void Says_what_does_not_fit()
    {
        Message("SelfAttention 'a': expected a sequence [length, features], got a vector 8; start from Network.Sequence(...), or put Reshape(length, features) before it.", Network.Vector(8), 2);
        Message("SelfAttention 'a': expected a sequence [length, features], got an image 2x2x2; start from Network.Sequence(...), or put Reshape(length, features) before it.", Network.Image(2, 2, 2), 2);
        Message("SelfAttention 'a': expected features that 4 heads divide, got 6; choose heads that divide them.", Network.Sequence(3, 6), 4);
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Sequence(3, 6).SelfAttention(0));
        var tokens = Network.Tokens(4, 5);
        Assert.AreEqual("SelfAttention 'a': expected as many positions as the mask has tokens, 4, got 2; take the mask before layers that change their number, or pad those.",
            Assert.ThrowsExactly<ArgumentException>(() => tokens.Embedding(2).Conv1d(2, 3).SelfAttention(1, mask: tokens, name: "a")).Message);
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => tokens.Embedding(2).SelfAttention(1, mask: Network.Tokens(4, 5))).Message, "branches of one network");

        static void Message(string expected, Network input, int heads) => Assert.AreEqual(expected, Assert.ThrowsExactly<ArgumentException>(() => input.SelfAttention(heads, name: "a")).Message);
    }

    /// <summary>Rows of features: example after example, position after position.</summary>
    private static double[] Reference(OpValues v, int length, int features, int heads, double[]? mask = null, bool causal = false)
    {
        int size = features / heads;
        double[] projected = Linear(v.Input, features, v.Parameters[0], v.Parameters[1]), mixed = new double[v.Input.Length];
        for (int n = 0; n < v.Batch; n++)
        {
            for (int h = 0; h < heads; h++)
            {
                double Part(int part, int l, int c) => projected[(((n * length) + l) * 3 + part) * features + h * size + c];
                for (int l = 0; l < length; l++)
                {
                    double[] scores = [.. Enumerable.Range(0, length).Select(k => Enumerable.Range(0, size).Sum(c => Part(0, l, c) * Part(1, k, c)) / Math.Sqrt(size))];
                    if (mask is not null) scores = [.. scores.Select((s, k) => mask[n * length + k] == 0 ? double.NegativeInfinity : s)];
                    if (causal) scores = [.. scores.Select((s, k) => k > l ? double.NegativeInfinity : s)];
                    if (scores.All(double.IsNegativeInfinity)) continue;
                    double max = scores.Max(), sum = scores.Sum(s => Math.Exp(s - max));
                    for (int c = 0; c < size; c++) mixed[(n * length + l) * features + h * size + c] = Enumerable.Range(0, length).Sum(k => Math.Exp(scores[k] - max) / sum * Part(2, k, c));
                }
            }
        }
        return Linear(mixed, features, v.Parameters[2], v.Parameters[3]);
    }

    private static double[] Linear(double[] x, int inputs, double[] weight, double[] bias) =>
        [.. x.Chunk(inputs).SelectMany(row => bias.Select((b, o) => b + row.Select((e, i) => e * weight[i * bias.Length + o]).Sum()))];
}
