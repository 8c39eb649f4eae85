namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The losses of values and of a Boolean, on every backend: against their formulas in FP64, and their gradients against central differences.</summary>
[TestClass]
public sealed class ElementLossTests
{
    private const int Batch = 5, Outputs = 3, Valid = 4;
    private const float Positive = 2.5f, Delta = 0.75f;

    public static IEnumerable<TestDataRow<(BackendRow Backend, string Loss)>> Rows =>
        from row in BackendMatrix.All
        from loss in (string[])[nameof(SigmoidCrossEntropy), nameof(MeanSquaredError), nameof(Huber)]
        select new TestDataRow<(BackendRow, string)>((row.Value, loss)) { DisplayName = $"{row.DisplayName}, {loss}", IgnoreMessage = row.IgnoreMessage };

    [TestMethod, DynamicData(nameof(Rows))]
    public void LossMetricAndGradientAreTheFormulas((BackendRow Backend, string Loss) row)
    {
        var (loss, formula) = Of(row.Loss);
        // Around the kinks, and so far out that e^x would overflow.
        float[] scores = [0f, 0.5f, -0.5f, 2f, -2f, 0.25f, 120f, -120f, 1f, -0.75f, 3f, 0.125f, 7f, 8f, 9f];
        float[] labels = [1, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0];
        float[] weights = [1f, 2f, 0.5f, 3f, 9f]; // the last row is padding
        const float Seed = 8f;
        var run = new LossRun(row.Backend, loss, scores, labels, weights, Valid, Seed);

        var losses = new double[Batch];
        var metrics = new double[Batch];
        var gradient = new double[Batch * Outputs];
        for (int i = 0; i < Valid * Outputs; i++)
        {
            int n = i / Outputs;
            losses[n] += weights[n] * formula(scores[i], labels[i]) / Outputs;
            double metric = row.Loss == nameof(SigmoidCrossEntropy) ? ((scores[i] > 0) == (labels[i] == 1) ? 1 : 0) : Math.Abs(scores[i] - labels[i]);
            metrics[n] += weights[n] * metric / Outputs;
            const double Step = 1e-6;
            gradient[i] = (formula(scores[i] + Step, labels[i]) - formula(scores[i] - Step, labels[i])) / (2 * Step) * weights[n] * Seed / Outputs;
        }
        Tolerance.AssertClose(losses, run.Losses, Precision.Single, 0, 4 * Outputs, "losses");
        Tolerance.AssertClose(metrics, run.Metrics, Precision.Single, 0, 4 * Outputs, "metrics");
        Tolerance.AssertClose([1, 2, 0.5, 3, 0], run.Weights, Precision.Single, 0, 0, "weights");
        Tolerance.AssertClose(gradient, run.Gradient, row.Backend.Precision, 1, 8, "gradient");
    }

    /// <summary>So that the step is skipped and the loss shows it.</summary>
    [TestMethod, DynamicData(nameof(Rows))]
    public void A_score_that_is_no_number_gives_a_loss_and_a_gradient_that_are_none((BackendRow Backend, string Loss) row)
    {
        var run = new LossRun(row.Backend, Of(row.Loss).Loss, [float.NaN, float.NaN, 0.5f], new[] { 0f, 1f, 1f }, [1f, 1f, 1f], 3, 8f);
        CollectionAssert.AreEqual(new[] { true, true, false }, run.Losses.Select(float.IsNaN).ToArray());
        CollectionAssert.AreEqual(new[] { true, true, false }, run.Gradient.Select(float.IsNaN).ToArray());
    }

    /// <summary>0 times NaN is NaN: what a row that weighs nothing scores must not be looked at.</summary>
    [TestMethod, DynamicData(nameof(Rows))]
    public void A_row_that_weighs_nothing_gives_nothing_whatever_it_scores((BackendRow Backend, string Loss) row)
    {
        float[] scores = [float.NaN, float.PositiveInfinity, float.NegativeInfinity, 1f];
        var run = new LossRun(row.Backend, Of(row.Loss).Loss, scores, new[] { 1f, 0f, 1f, 0f }, [0f, 0f, 0f, 1f], 4, 8f);
        foreach (float[] values in new[] { run.Losses, run.Metrics, run.Weights, run.Gradient }) CollectionAssert.AreEqual(new float[3], values[..3]);
        Assert.IsGreaterThan(0f, run.Losses[3]);
    }

    /// <summary>The gradient of the loss, p sigmoid of the score for the wrong answer, in relative error: a loss scale of 2^16 brings e^-24 into the range of halves.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_row_that_is_surely_right_still_has_its_gradient(BackendRow row)
    {
        const float Seed = 1 << 24;
        float[] scores = [17f, -17f, 20f, -20f, 24f, -24f];
        var run = new LossRun(row, new SigmoidCrossEntropy(Positive), scores, new[] { 1f, 0f, 1f, 0f, 1f, 0f }, [1f, 1f, 1f, 1f, 1f, 1f], 6, Seed);
        for (int i = 0; i < scores.Length; i++)
        {
            double expected = (scores[i] > 0 ? -Positive : 1) * Seed / (1 + Math.Exp(Math.Abs(scores[i])));
            Tolerance.AssertClose([expected], run.Gradient.AsSpan(i, 1), row.Precision, 1, 32, $"gradient of {scores[i]}");
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void An_infinite_score_has_a_loss_of_nothing_where_it_is_right_and_is_infinitely_wrong_elsewhere(BackendRow row)
    {
        const float Infinity = float.PositiveInfinity;
        var run = new LossRun(row, new SigmoidCrossEntropy(Positive), [Infinity, -Infinity, Infinity, -Infinity], new[] { 1f, 0f, 0f, 1f }, [1f, 1f, 1f, 1f], 4, 8f);
        CollectionAssert.AreEqual(new[] { 0f, 0f, Infinity, Infinity }, run.Losses);
        Tolerance.AssertClose([0, 0, 8, -8 * Positive], run.Gradient, row.Precision, 1, 8, "gradient");
    }

    private static (Loss Loss, Func<double, double, double> Formula) Of(string loss) => loss switch
    {
        nameof(SigmoidCrossEntropy) => (new SigmoidCrossEntropy(Positive), (x, y) => Positive * y * SoftPlus(-x) + (1 - y) * SoftPlus(x)),
        nameof(MeanSquaredError) => (new MeanSquaredError(), (x, y) => (x - y) * (x - y)),
        _ => (new Huber(Delta), (x, y) => Math.Abs(x - y) <= Delta ? (x - y) * (x - y) / 2 : Delta * (Math.Abs(x - y) - Delta / 2)),
    };

    private static double SoftPlus(double x) => Math.Max(x, 0) + Math.Log(1 + Math.Exp(-Math.Abs(x)));
}
