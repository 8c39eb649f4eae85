namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Cross entropy of a class, on every backend: against its formula in FP64, and its gradient against central differences.</summary>
[TestClass]
public sealed class SoftmaxCrossEntropyTests
{
    private const int Batch = 5, Valid = 4;

    public static IEnumerable<TestDataRow<(BackendRow Backend, int Classes, float Smoothing)>> Rows =>
        from row in BackendMatrix.All
        from shape in ((int, float)[])[(1, 0f), (2, 0f), (16, 0.1f), (17, 0f), (1, 0.5f), (17, 0.1f), (1100, 0.1f)] // 1100: a row is more than a grain of 1024
        select new TestDataRow<(BackendRow, int, float)>((row.Value, shape.Item1, shape.Item2)) { DisplayName = $"{row.DisplayName}, {shape}", IgnoreMessage = row.IgnoreMessage };

    [TestMethod, DynamicData(nameof(Rows))]
    public void Loss_metric_and_gradient_are_the_formulas((BackendRow Backend, int Classes, float Smoothing) row)
    {
        int classes = row.Classes, batch = classes > 100 ? 5 : 21, valid = batch - 1; // 21: more than one vector of rows, and a rest
        float[] scores = [.. Enumerable.Range(0, batch * classes).Select(i => (i * 37 % 41 - 20) / 8f)];
        int[] labels = [.. Enumerable.Range(0, batch).Select(n => n * 5 % classes)];
        float[] weights = [.. Enumerable.Range(0, batch).Select(n => n == valid ? 9f : 0.5f * (n % 4))]; // the last row is padding
        const float Seed = 8f;
        var run = new LossRun(row.Backend, new SoftmaxCrossEntropy(row.Smoothing), scores, labels, weights, valid, Seed);

        var (losses, metrics, gradient) = (new double[batch], new double[batch], new double[batch * classes]);
        for (int n = 0; n < valid; n++)
        {
            double[] x = [.. scores[(n * classes)..((n + 1) * classes)].Select(s => (double)s)];
            losses[n] = weights[n] * Formula(x, labels[n], row.Smoothing);
            metrics[n] = x.IndexOf(x.Max()) == labels[n] ? weights[n] : 0;
            for (int c = 0; c < classes; c++)
            {
                const double Step = 1e-5;
                var (more, less) = ((double[])x.Clone(), (double[])x.Clone());
                more[c] += Step;
                less[c] -= Step;
                gradient[n * classes + c] = (Formula(more, labels[n], row.Smoothing) - Formula(less, labels[n], row.Smoothing)) / (2 * Step) * weights[n] * Seed;
            }
        }
        Tolerance.AssertClose(losses, run.Losses, Precision.Single, 0, 4 * classes, "losses");
        Tolerance.AssertClose(metrics, run.Metrics, Precision.Single, 0, 0, "metrics");
        Tolerance.AssertClose([.. weights.Select((w, n) => n < valid ? (double)w : 0)], run.Weights, Precision.Single, 0, 0, "weights");
        Tolerance.AssertClose(gradient, run.Gradient, row.Backend.Precision, 1, 8 + classes, "gradient");
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Scores_so_large_that_their_powers_overflow_give_the_exact_limits(BackendRow row)
    {
        float[] scores = [60000f, -60000f, 0f, 60000f, -60000f, 0f];
        var run = new LossRun(row, new SoftmaxCrossEntropy(), scores, new[] { 0, 1 }, [1f, 1f], 2, 4f);
        CollectionAssert.AreEqual(new[] { 0f, 120000f }, run.Losses);
        CollectionAssert.AreEqual(new[] { 0f, 0f, 0f, 4f, -4f, 0f }, run.Gradient);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Among_equal_scores_the_first_is_the_answer(BackendRow row)
    {
        float[] scores = [1f, 3f, 3f, 1f, 3f, 3f, 2f, 2f, 2f];
        CollectionAssert.AreEqual(new[] { 1f, 0f, 1f }, new LossRun(row, new SoftmaxCrossEntropy(), scores, new[] { 1, 2, 0 }, [1f, 1f, 1f], 3, 1f).Metrics);
    }

    /// <summary>So that the step is skipped and the loss shows it.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Scores_that_are_not_finite_give_a_loss_and_gradients_that_are_no_numbers(BackendRow row)
    {
        const float Infinite = float.PositiveInfinity;
        float[] scores = [float.NaN, 1f, 1f, float.NaN, Infinite, 1f, 1f, Infinite, -Infinite, -Infinite, 0f, 1f];
        var run = new LossRun(row, new SoftmaxCrossEntropy(), scores, new int[6], [1f, 1f, 1f, 1f, 1f, 1f], 6, 1f);
        CollectionAssert.AreEqual(new[] { true, true, true, true, true, false }, run.Losses.Select(float.IsNaN).ToArray());
        for (int n = 0; n < 6; n++) Assert.AreEqual(n < 5, run.Gradient[(2 * n)..(2 * n + 2)].Any(float.IsNaN), $"row {n}");
    }

    /// <summary>0 times NaN is NaN: what a row that weighs nothing scores, and its label, must not be looked at.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_row_that_weighs_nothing_gives_nothing_whatever_it_scores(BackendRow row)
    {
        float[] scores = [float.NaN, 1f, float.PositiveInfinity, 1f, float.NegativeInfinity, float.NegativeInfinity, 0f, 0f, 0f, 1f];
        foreach (float smoothing in new[] { 0f, 0.1f })
        {
            var run = new LossRun(row, new SoftmaxCrossEntropy(smoothing), scores, new[] { 0, 0, 0, 5, 0 }, [0f, 0f, 0f, 0f, 1f], 5, 8f);
            foreach (float[] values in new[] { run.Losses, run.Metrics, run.Weights, run.Gradient }) CollectionAssert.AreEqual(new float[4], values[..4]);
            CollectionAssert.AreEqual(new float[8], run.Gradient[..8]);
            Assert.IsGreaterThan(0f, run.Losses[4]);
        }
    }

    /// <summary>The trainer lets no such label in; if one came, nothing beside the row is read.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_label_that_is_no_class_gives_a_loss_and_a_gradient_that_are_no_numbers(BackendRow row)
    {
        int[] labels = [-1, 3, int.MinValue, int.MaxValue, 2];
        foreach (float smoothing in new[] { 0f, 0.1f })
        {
            var run = new LossRun(row, new SoftmaxCrossEntropy(smoothing), new float[15], labels, [1f, 1f, 1f, 1f, 1f], 5, 1f);
            CollectionAssert.AreEqual(new[] { true, true, true, true, false }, run.Losses.Select(float.IsNaN).ToArray());
            CollectionAssert.AreEqual(new[] { 0f, 0f, 0f, 0f, 0f }, run.Metrics);
            for (int i = 0; i < 15; i++) Assert.AreEqual(i < 12, float.IsNaN(run.Gradient[i]), $"gradient {i}");
        }
    }

    /// <summary>The other class has a share of nothing and says nothing against the loss; smoothing wants a share for every class.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_score_of_minus_infinity_counts_only_where_the_target_has_a_share(BackendRow row)
    {
        float[] scores = [1f, float.NegativeInfinity, 1f, 1f, float.NegativeInfinity, 1f];
        var run = new LossRun(row, new SoftmaxCrossEntropy(), scores, new[] { 0, 1 }, [1f, 1f], 2, 4f);
        Tolerance.AssertClose([Math.Log(2)], run.Losses.AsSpan(0, 1), Precision.Single, 0, 8, "loss");
        Assert.AreEqual(float.PositiveInfinity, run.Losses[1]);
        Tolerance.AssertClose([-2, 0, 2, 2, -4, 2], run.Gradient, row.Precision, 1, 8, "gradient");
        Assert.AreEqual(float.PositiveInfinity, new LossRun(row, new SoftmaxCrossEntropy(0.1f), scores, new[] { 0, 1 }, [1f, 1f], 2, 4f).Losses[0]);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_label_that_is_no_class_skips_the_step(BackendRow row)
    {
        var options = new PlanOptions(4, row.Precision, new SoftmaxCrossEntropy(), new Adam()) { LossScale = LossScale.Dynamic(64f), Seed = 3, TotalUpdates = 4 };
        using var session = new TrainingSession(PlanBuilder.Build(Network.Vector(5).Linear(3), options), row.Create());
        float[] before = session.Read(session.Plan.Parameters.Masters);
        var batch = Problems.Random(4, 5, 3, 1);
        batch.Classes[2] = 3;
        Problems.Step(session, batch);
        var skipped = session.ReadReport();
        Assert.AreEqual((0, 1), (skipped.Applied, skipped.Skipped));
        Assert.AreEqual((0.0, 0.0, 1), (skipped.LossSum, skipped.WeightSum, skipped.Passes), "nothing of a skipped pass without a loss is in the mean");
        CollectionAssert.AreEqual(before, session.Read(session.Plan.Parameters.Masters));

        batch.Classes[2] = 2;
        Problems.Step(session, batch);
        var applied = session.ReadReport();
        Assert.AreEqual((1, 1), (applied.Applied, applied.Skipped));
        Assert.IsTrue(double.IsFinite(applied.LossSum));
        CollectionAssert.AreNotEqual(before, session.Read(session.Plan.Parameters.Masters));
    }

    [TestMethod]
    public void Class_weights_multiply_the_examples_weights()
    {
        float[] classWeights = [0.5f, 3f, 0f];
        var data = TrainerData.Keyed(new MLContext(1), 60);
        var columns = new TrainingColumns("Features", "Label", "Weight", ScoringTask.Multiclass, TrainerData.Features, TrainerData.Classes);
        using var plain = new RowReader(data, columns, Precision.Mixed, null, "");
        using var weighted = new RowReader(data, columns, Precision.Mixed, classWeights, "");
        var seen = new HashSet<(int, float)>();
        while (plain.Read())
        {
            Assert.IsTrue(weighted.Read());
            Assert.AreEqual(plain.Weight * classWeights[plain.Class], weighted.Weight, $"row {plain.Row} of class {plain.Class}");
            seen.Add((plain.Class, plain.Weight));
        }
        Assert.HasCount(6, seen, "every class, with weights of 1 and of 2");
    }

    private static double Formula(double[] x, int label, double smoothing)
    {
        double max = x.Max(), logSum = max + Math.Log(x.Sum(s => Math.Exp(s - max)));
        return logSum - (1 - smoothing) * x[label] - smoothing * x.Average();
    }
}
