namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Five updates of each rule against PyTorch's formulas in FP64, and what a skipped step leaves alone.</summary>
[TestClass]
public sealed class OptimizerTests
{
    private const int Updates = 5;

    /// <summary>More than a block's 128 elements, and no multiple of a vector.</summary>
    private const int Count = 133;

    public static IEnumerable<TestDataRow<(BackendRow Row, Optimizer Optimizer)>> Rules => OnAllRows(
        new Sgd(0.1f), new Sgd(0.1f) { WeightDecay = 0.05f }, new Sgd(0.1f, 0.9f), new Sgd(0.1f, 0.9f) { WeightDecay = 0.05f },
        new Sgd(0.1f, 0.8f, nesterov: true), new Sgd(0.1f, 0.8f, nesterov: true) { WeightDecay = 0.05f },
        new Adam(0.01f), new Adam(0.01f) { Beta1 = 0.8f, Beta2 = 0.95f, Eps = 1e-3f, WeightDecay = 0.1f }, new Adam(0.01f) { Beta1 = 0f, Beta2 = 0f },
        new AdamW(0.01f), new AdamW(0.01f) { Beta1 = 0.8f, Beta2 = 0.95f, Eps = 1e-3f, WeightDecay = 0.2f });

    /// <summary>One for each kind of kernel.</summary>
    public static IEnumerable<TestDataRow<(BackendRow Row, Optimizer Optimizer)>> Kernels =>
        OnAllRows(new Sgd(0.1f) { WeightDecay = 0.05f }, new Sgd(0.1f, 0.8f, nesterov: true), new AdamW(0.01f));

    [TestMethod, DynamicData(nameof(Rules))]
    public void Five_updates_are_PyTorchs(BackendRow row, Optimizer optimizer)
    {
        var reference = new Reference(optimizer, Start());
        using var training = new PlantedSession(row, Start(), optimizer, o => o with { LossScale = LossScale.Static(256f) });
        for (int update = 0; update < Updates; update++)
        {
            training.Step(Gradient(update));
            reference.Step(Gradient(update));
            AssertEqual(reference, training, row, update + 1);
        }
    }

    [TestMethod, DynamicData(nameof(Kernels))]
    public void A_skipped_step_changes_neither_weights_nor_state_nor_the_updates_after_it(BackendRow row, Optimizer optimizer)
    {
        var reference = new Reference(optimizer, Start());
        using var training = new PlantedSession(row, Start(), optimizer, o => o with { LossScale = LossScale.Dynamic(256f) });
        for (int update = 0; update < 2; update++)
        {
            training.Step(Gradient(update));
            reference.Step(Gradient(update));
        }
        var (masters, weights, state) = (training.Masters, training.Weights, training.State);
        var report = training.Overflow();
        Assert.AreEqual((2, 1), (report.Applied, report.Skipped));
        CollectionAssert.AreEqual(masters, training.Masters);
        CollectionAssert.AreEqual(weights, training.Weights);
        foreach (var (i, before) in state.Index()) CollectionAssert.AreEqual(before, training.State[i], $"state {i}");

        training.Step(Gradient(2)); // Adam's corrections are those of the third update, not of the fourth
        reference.Step(Gradient(2));
        AssertEqual(reference, training, row, 3);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Without_masters_an_update_of_half_a_step_or_less_is_lost(BackendRow row)
    {
        // Halves below 1 are 2^-11 apart. Of updates by 1/4, 1/2, 3/4 and 1 step the second is a tie, which goes to the even 1.
        const float Step = 1f / 2048;
        float[] gradient = [Step / 4, Step / 2, 3 * Step / 4, Step];
        bool mixed = row.Precision == Precision.Mixed;
        foreach (int passes in new[] { 1, 2 })
        {
            using var training = new PlantedSession(row, [1f, 1f, 1f, 1f], new Sgd(1f),
                o => o with { MasterWeights = false, AccumulationSteps = passes, LossScale = LossScale.Static(256f) });
            Assert.AreSame(training.Session.Plan.Parameters.Weights, training.Session.Plan.Parameters.Masters);
            for (int update = 1; update <= 2; update++)
            {
                for (int pass = 0; pass < passes; pass++) training.Pass([.. gradient.Select(g => g / passes)]);
                training.Session.Update();
                float[] expected = mixed ? [1f, 1f, 1f - update * Step, 1f - update * Step] : [.. gradient.Select(g => 1f - update * g)];
                CollectionAssert.AreEqual(expected, training.Weights, $"{passes} passes, update {update}");
            }
        }
    }

    [TestMethod]
    public void The_first_update_knows_no_momentum_but_the_gradient()
    {
        // PyTorch starts the buffer as the gradient itself, and Nesterov adds it once more: 1 - 0.5 * (1 + 0.5 * 1).
        using var training = new PlantedSession(new BackendRow("cpu", Precision.Single, () => new CpuBackend(Precision.Single)), [1f], new Sgd(0.5f, 0.5f, nesterov: true));
        training.Step(1f);
        Assert.AreEqual(0.25f, training.Masters[0]);
    }

    [TestMethod]
    public void The_first_update_of_Adam_is_its_rate_whatever_the_gradient()
    {
        using var training = new PlantedSession(new BackendRow("cpu", Precision.Single, () => new CpuBackend(Precision.Single)), [0f, 0f, 0f], new Adam(0.125f));
        training.Step(1f / 4096, -1f, 512f);
        float[] masters = training.Masters;
        Tolerance.AssertClose([-0.125 / (1 + 1e-8 * 4096), 0.125, -0.125], masters, Precision.Single, 0, 8, "weights");
    }

    /// <summary>torch.optim.SGD(lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False).</summary>
    [TestMethod]
    public void Sgd_has_PyTorchs_defaults()
    {
        var sgd = new Sgd();
        Assert.AreEqual((1e-3f, 0f, 0f, false), (sgd.LearningRate, sgd.Momentum, sgd.WeightDecay, sgd.Nesterov));
        sgd.Validate();
    }

    /// <summary>torch.optim.Adam(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0).</summary>
    [TestMethod]
    public void Adam_has_PyTorchs_defaults()
    {
        var adam = new Adam();
        Assert.AreEqual((1e-3f, 0.9f, 0.999f, 1e-8f, 0f), (adam.LearningRate, adam.Beta1, adam.Beta2, adam.Eps, adam.WeightDecay));
        adam.Validate();
    }

    /// <summary>torch.optim.AdamW(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01).</summary>
    [TestMethod]
    public void AdamW_has_PyTorchs_defaults()
    {
        var adam = new AdamW();
        Assert.AreEqual((1e-3f, 0.9f, 0.999f, 1e-8f, 0.01f), (adam.LearningRate, adam.Beta1, adam.Beta2, adam.Eps, adam.WeightDecay));
        adam.Validate();
    }

    public static IEnumerable<TestDataRow<(string Name, Optimizer Optimizer)>> OutOfRange =>
    [
        .. new[] { 0f, -1f, float.NaN, float.PositiveInfinity }.SelectMany(rate => new Optimizer[] { new Sgd(rate), new Adam(rate), new AdamW(rate) })
            .Select(o => Case("LearningRate", o)),
        .. new[] { -0.1f, 1f, float.NaN }.Select(m => Case("Momentum", new Sgd(momentum: m))),
        Case("Nesterov", new Sgd(nesterov: true)),
        .. new[] { -0.1f, 1f, float.NaN }.SelectMany(b => new[]
        {
            Case("Beta1", new Adam { Beta1 = b }), Case("Beta2", new Adam { Beta2 = b }), Case("Beta1", new AdamW { Beta1 = b }), Case("Beta2", new AdamW { Beta2 = b }),
        }),
        .. new[] { 0f, -1f, float.NaN, float.PositiveInfinity }.SelectMany(e => new[] { Case("Eps", new Adam { Eps = e }), Case("Eps", new AdamW { Eps = e }) }),
        .. new[] { -0.1f, float.NaN, float.PositiveInfinity }.SelectMany(d => new[]
        {
            Case("WeightDecay", new Sgd { WeightDecay = d }), Case("WeightDecay", new Adam { WeightDecay = d }), Case("WeightDecay", new AdamW { WeightDecay = d }),
        }),
    ];

    [TestMethod, DynamicData(nameof(OutOfRange))]
    public void A_value_outside_its_range_is_named(string name, Optimizer optimizer)
    {
        var e = Assert.ThrowsExactly<ArgumentOutOfRangeException>(optimizer.Validate);
        Assert.AreEqual(name, e.ParamName);
        StringAssert.StartsWith(e.Message, $"{name}: expected");
    }

    [TestMethod]
    public void The_ends_of_the_ranges_are_inside()
    {
        new Sgd(float.Epsilon) { WeightDecay = 0f }.Validate();
        new Sgd(float.MaxValue, 0.9999999f, nesterov: true) { WeightDecay = float.MaxValue }.Validate();
        new Adam { Beta1 = 0f, Beta2 = 0f, Eps = float.Epsilon }.Validate();
        new AdamW { Beta1 = 0.9999999f, Beta2 = 0.9999999f, WeightDecay = 0f }.Validate();
    }

    private static IEnumerable<TestDataRow<(BackendRow Row, Optimizer Optimizer)>> OnAllRows(params Optimizer[] rules) =>
        from row in BackendMatrix.All
        from rule in rules
        select new TestDataRow<(BackendRow Row, Optimizer Optimizer)>((row.Value, rule)) { DisplayName = $"{row.Value}, {rule}", IgnoreMessage = row.IgnoreMessage };

    private static TestDataRow<(string, Optimizer)> Case(string name, Optimizer optimizer) => new((name, optimizer)) { DisplayName = $"{name}: {optimizer}" };

    private static float[] Start() => [.. Enumerable.Range(0, Count).Select(i => (i - 60) / 64f)];

    /// <summary>Halves of either sign, from 2^-8 on and at most 0.5, and zeros: other ones at each update.</summary>
    private static float[] Gradient(int update) => [.. Enumerable.Range(0, Count).Select(i => ((i * 37 + update * 101) % 257 - 128) / 256f)];

    private static void AssertEqual(Reference reference, PlantedSession training, BackendRow row, int updates)
    {
        // A rule is at most ten operations long, and so are the operations before it that its result hangs on.
        int operations = 10 * updates;
        Tolerance.AssertClose(reference.Weights, training.Masters, Precision.Single, 0, operations, $"masters after {updates}");
        Assert.HasCount(reference.State.Count, training.State);
        foreach (var (i, state) in training.State.Index()) Tolerance.AssertClose(reference.State[i], state, Precision.Single, 0, operations, $"state {i} after {updates}");
        float[] copy = row.Precision == Precision.Mixed ? [.. training.Masters.Select(w => (float)(Half)w)] : training.Masters;
        CollectionAssert.AreEqual(copy, training.Weights, "the working copy is the rounded master");
    }

    /// <summary>The formulas of PyTorch's documentation, in FP64.</summary>
    private sealed class Reference(Optimizer optimizer, float[] weights)
    {
        private readonly double[] _first = new double[weights.Length], _second = new double[weights.Length];
        private int _update;

        public double[] Weights { get; } = [.. weights.Select(w => (double)w)];

        public IReadOnlyList<double[]> State => optimizer switch { Sgd { Momentum: 0 } => [], Sgd => [_first], _ => [_first, _second] };

        public void Step(float[] gradient)
        {
            _update++;
            for (int i = 0; i < Weights.Length; i++)
            {
                Weights[i] = optimizer switch
                {
                    Sgd o => Descent(o, Weights[i], gradient[i], i),
                    Adam o => Adam(o.LearningRate, o.Beta1, o.Beta2, o.Eps, Weights[i], gradient[i] + o.WeightDecay * Weights[i], i),
                    AdamW o => Adam(o.LearningRate, o.Beta1, o.Beta2, o.Eps, Weights[i] - (double)o.LearningRate * o.WeightDecay * Weights[i], gradient[i], i),
                    _ => throw new ArgumentException(optimizer.ToString()),
                };
            }
        }

        private double Descent(Sgd o, double w, double g, int i)
        {
            g += o.WeightDecay * w;
            if (o.Momentum > 0)
            {
                _first[i] = _update > 1 ? o.Momentum * _first[i] + g : g;
                g = o.Nesterov ? g + o.Momentum * _first[i] : _first[i];
            }
            return w - o.LearningRate * g;
        }

        private double Adam(double rate, double beta1, double beta2, double eps, double w, double g, int i)
        {
            _first[i] = beta1 * _first[i] + (1 - beta1) * g;
            _second[i] = beta2 * _second[i] + (1 - beta2) * g * g;
            double mean = _first[i] / (1 - Math.Pow(beta1, _update)), squares = _second[i] / (1 - Math.Pow(beta2, _update));
            return w - rate * mean / (Math.Sqrt(squares) + eps);
        }
    }
}
