namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The functions of one element: all through the same kernels, each with its own reference.</summary>
[TestClass, TestCategory("VectorWidth")]
public sealed class ActivationTests
{
    private static readonly (string Name, Func<Network, Network> Apply, Func<double, double> Reference)[] s_functions =
    [
        ("Relu", x => x.Relu(), x => Math.Max(x, 0)),
        ("LeakyRelu", x => x.LeakyRelu(), x => x < 0 ? 0.01 * x : x),
        ("LeakyRelu 0.3", x => x.LeakyRelu(0.3f), x => x < 0 ? (double)0.3f * x : x),
        ("Sigmoid", x => x.Sigmoid(), x => 1 / (1 + Math.Exp(-x))),
        ("Tanh", x => x.Tanh(), Math.Tanh),
        ("Silu", x => x.Silu(), x => x / (1 + Math.Exp(-x))),
        ("Gelu", x => x.Gelu(), x => x / 2 * (1 + Erf(x / Math.Sqrt(2)))),
        ("Relu6", x => x.Relu6(), x => Math.Clamp(x, 0, 6)),
        ("Relu6 of twice", x => (x + x).Relu6(), x => Math.Clamp(2 * x, 0, 6)),
        ("Hardsigmoid", x => x.Hardsigmoid(), x => Math.Clamp(x + 3, 0, 6) / 6),
        ("Hardswish", x => x.Hardswish(), x => x * Math.Clamp(x + 3, 0, 6) / 6),
    ];

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equal_their_references_in_both_directions(BackendRow row)
    {
        foreach (var (_, apply, reference) in s_functions)
        {
            // Around one and two vectors; values from -6 to 6, dense enough that the largest gradient is that of the middle, and
            // without 0, where some have a kink.
            foreach (int size in new[] { 5, 15, 33 })
            {
                var input = Enumerable.Range(0, 3 * size).Select(i => (float)(-6 + 12.0 * (i + 0.4) / (3 * size))).ToArray();
                OpCheck.Run(row.Create(), apply(Network.Vector(size)), v => [.. v.Input.Select(reference)], roundings: 3, input: input);
            }
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Keep_their_digits_near_0_and_far_below_it(BackendRow row)
    {
        // Each element against its own bound: 1 + erf(x) and 1 - 2 / (exp(2x) + 1) would be off by thousands of it.
        float[] input = [1e-6f, -1e-5f, 3e-4f, -2e-3f, 0.05f, -0.3f, 0.64f, -0.66f, -1.5f, -2.5f, -3.5f, -4.5f, -5.2f, -6f, -7f, 9f];
        foreach (var (name, apply, reference) in s_functions)
        {
            using var session = new TrainingSession(PlanBuilder.Build(apply(Network.Vector(input.Length)),
                new PlanOptions(1, row.Precision, new PlantedGradient(), new Sgd()) { KeepAll = true }), row.Create());
            var batch = new Batch(1, input.Length, input.Length) { RowCount = 1 };
            input.CopyTo(batch.Features, 0);
            session.TrainPass(batch);
            var y = session.Read(session.Plan.TrainOutputs[session.Plan.Layers[^1].Name]);
            for (int i = 0; i < y.Length; i++)
            {
                double x = row.Precision == Precision.Mixed ? (double)(float)(Half)input[i] : input[i];
                Tolerance.AssertClose([reference(x)], y.AsSpan(i, 1), row.Precision, 1, 32, $"{name}({x})");
            }
        }
    }

    [TestMethod]
    public void Saturate_without_NaN_and_pass_NaN_on()
    {
        foreach (var (name, apply, _) in s_functions)
        {
            foreach (var precision in new[] { Precision.Mixed, Precision.Single })
            {
                using var session = new TrainingSession(PlanBuilder.Build(apply(Network.Vector(3)),
                    new PlanOptions(1, precision, new PlantedGradient(), new Sgd()) { KeepAll = true, InputGradient = true }), new CpuBackend(precision));
                var batch = new Batch(1, 3, 3) { RowCount = 1 };
                new[] { 1000f, -1000f, float.NaN }.CopyTo(batch.Features, 0);
                Array.Fill(batch.Values, 1f);
                session.TrainPass(batch);
                var y = session.Read(session.Plan.TrainOutputs[session.Plan.Layers[^1].Name]);
                var dx = session.Read(session.Plan.InputGradient!);
                Assert.IsTrue(float.IsFinite(y[0]) && float.IsFinite(y[1]) && float.IsFinite(dx[0]) && float.IsFinite(dx[1]), $"{name}: {string.Join(' ', y)}, {string.Join(' ', dx)}");
                Assert.IsTrue(float.IsNaN(y[2]), name);
            }
        }
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Export(Precision precision)
    {
        foreach (var (_, apply, _) in s_functions)
        {
            ExportHarness.Run(new CpuBackend(precision), apply(Network.Vector(17)), spread: 4);
            ExportHarness.Run(new CpuBackend(precision), apply(Network.Image(3, 2, 2)).Flatten(), spread: 4);
        }
    }

    [TestMethod]
    public void LeakyRelu_has_the_default_of_PyTorch() => Defaults.AssertEqual(nameof(Network.LeakyRelu), ("slope", 0.01f));

    [TestMethod]
    public void LeakyRelu_refuses_slopes_outside_their_range()
    {
        foreach (float slope in new[] { -0.1f, 1f, float.NaN }) Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Vector(2).LeakyRelu(slope));
    }

    /// <summary>The series where it converges fast, the continued fraction beyond: to about 1e-15.</summary>
    private static double Erf(double x)
    {
        double z = Math.Abs(x);
        if (z < 2.5)
        {
            double term = z, sum = z;
            for (int n = 1; n < 200; n++)
            {
                term *= -z * z / n;
                sum += term / (2 * n + 1);
            }
            return Math.Sign(x) * 2 / Math.Sqrt(Math.PI) * sum;
        }
        double fraction = 0;
        for (int n = 60; n > 0; n--) fraction = n / 2.0 / (z + fraction);
        return Math.Sign(x) * (1 - Math.Exp(-z * z) / Math.Sqrt(Math.PI) / (z + fraction));
    }
}
