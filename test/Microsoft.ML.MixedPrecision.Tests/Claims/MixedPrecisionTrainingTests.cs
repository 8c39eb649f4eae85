namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What the paper <em>Mixed Precision Training</em> (ICLR 2018) claims, on problems small enough for a test.</summary>
[TestClass]
public sealed class MixedPrecisionTrainingTests
{
    [TestMethod]
    public void Without_master_weights_small_updates_are_lost()
    {
        // y = w x with x = 1 and the target 2, from w = 1: at a rate of 1e-5 an update is at most 2e-5, and a half at 1 has a
        // step of 2^-11 = 4.9e-4 below and 9.8e-4 above it. 60,000 updates shrink the distance by exp(-0.6 * 2) in FP32.
        double with = Distance(masters: true), without = Distance(masters: false);
        Assert.AreEqual(1.0, without, "no update of a half weight is large enough to change it");
        Assert.IsLessThan(0.35, with);

        static double Distance(bool masters)
        {
            var options = new PlanOptions(1, Precision.Mixed, new MeanSquaredError(), new Sgd(1e-5f)) { MasterWeights = masters, LossScale = LossScale.Static(64f) };
            using var session = new TrainingSession(PlanBuilder.Build(Network.Vector(1).Linear(1, bias: false), options), new CpuBackend(Precision.Mixed));
            var weight = session.Plan.Parameters.Parameters[0];
            session.SetParameter(weight, [1f]);
            var batch = new Batch(1, 1, 1) { RowCount = 1 };
            (batch.Features[0], batch.Values[0], batch.Weights[0]) = (1f, 2f, 1f);
            for (int i = 0; i < 60_000; i++) Problems.Step(session, batch);
            return Math.Abs(2.0 - session.ReadParameter(weight)[0]);
        }
    }

    [TestMethod]
    public void Without_a_loss_scale_small_gradients_vanish()
    {
        // A feature of 2^-14 and an error of at most 2^-14: the gradient, 2 * error * feature, is below 2^-25 and rounds to zero.
        // Adam would step by its rate whatever the gradient's size, if there was one.
        Assert.AreEqual(0.0, Moved(LossScale.None));
        Assert.IsGreaterThan(0.05, Moved(LossScale.Static(4096f)));
        Assert.IsGreaterThan(0.05, Moved(LossScale.Dynamic()));

        static double Moved(LossScale scale)
        {
            var options = new PlanOptions(1, Precision.Mixed, new MeanSquaredError(), new Adam(1e-3f) { Eps = 1e-20f }) { LossScale = scale };
            using var session = new TrainingSession(PlanBuilder.Build(Network.Vector(1).Linear(1, bias: false), options), new CpuBackend(Precision.Mixed));
            var weight = session.Plan.Parameters.Parameters[0];
            session.SetParameter(weight, [0f]);
            var batch = new Batch(1, 1, 1) { RowCount = 1 };
            (batch.Features[0], batch.Values[0], batch.Weights[0]) = (MathF.Pow(2, -14), MathF.Pow(2, -14), 1f);
            for (int i = 0; i < 100; i++) Problems.Step(session, batch);
            return session.ReadParameter(weight)[0];
        }
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void A_planted_infinity_skips_exactly_one_step_and_halves_the_scale(bool notANumber)
    {
        using var session = Problems.Session(Problems.ConvNet, Precision.Mixed, 8);
        var good = Problems.Random(8, 72, 3, 1);
        var bad = Problems.Random(8, 72, 3, 2);
        bad.Features[100] = notANumber ? float.NaN : float.PositiveInfinity;
        for (int i = 0; i < 3; i++) Problems.Step(session, good);
        var before = session.ReadReport();
        var (weights, masters, state) = State(session);

        Problems.Step(session, bad);
        var after = session.ReadReport();
        Assert.AreEqual(before.Skipped + 1, after.Skipped);
        Assert.AreEqual(before.Applied, after.Applied);
        Assert.AreEqual(before.Scale / 2, after.Scale);
        Assert.IsNotNull(after.FirstBad);
        var (weightsAfter, mastersAfter, stateAfter) = State(session);
        CollectionAssert.AreEqual(weights, weightsAfter);
        CollectionAssert.AreEqual(masters, mastersAfter);
        CollectionAssert.AreEqual(state, stateAfter);

        Problems.Step(session, good);
        var next = session.ReadReport();
        Assert.AreEqual(after.Skipped, next.Skipped);
        Assert.AreEqual(after.Applied + 1, next.Applied);
        Assert.AreEqual(after.Scale, next.Scale);
        Assert.IsTrue(double.IsFinite(next.LossSum));

        static (float[], float[], float[]) State(TrainingSession s) => (s.Read(s.Plan.Parameters.Weights), s.Read(s.Plan.Parameters.Masters), [.. s.Plan.Parameters.State.SelectMany(s.Read)]);
    }

    [TestMethod]
    public void Mixed_precision_reaches_the_loss_of_single_precision()
    {
        double mixed = Loss(Precision.Mixed), single = Loss(Precision.Single);
        Assert.IsLessThan(0.5, single, "the problem is learned (chance is 1.1)");
        // The same initial weights, batches and dropout masks: what differs is rounding. A tenth of the loss is what two seeds differ by.
        Assert.AreEqual(single, mixed, 0.1 * single + 0.02);

        static double Loss(Precision precision)
        {
            using var session = Problems.Session(Network.Vector(8).Linear(32).LayerNorm().Relu().Linear(32).BatchNorm().Relu().Linear(3), precision, 32, new Adam(3e-3f));
            return Problems.Train(session, 150, i => Problems.Random(32, 8, 3, (uint)i));
        }
    }

    [TestMethod]
    public void The_dynamic_scale_finds_its_way_down_from_far_too_high()
    {
        using var session = Problems.Session(Problems.ConvNet, Precision.Mixed, 8, change: o => o with { LossScale = LossScale.Dynamic(initial: MathF.Pow(2, 40)) });
        for (int i = 0; i < 60; i++) Problems.Step(session, Problems.Random(8, 72, 3, (uint)i));
        var report = session.ReadReport();
        Assert.IsGreaterThan(10, report.Skipped);
        Assert.IsGreaterThan(10, report.Applied);
        Assert.AreEqual(60, report.Applied + report.Skipped);
        Assert.AreEqual(MathF.Pow(2, 40 - report.Skipped), report.Scale);
    }
}
