namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Same seed, same bits; whatever the threads, the poison, or the memory's layout. And no garbage.</summary>
[TestClass]
public sealed class ReproducibilityTests
{
    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Two_runs_and_any_number_of_threads_give_the_same_bits(Precision precision)
    {
        var first = Weights(precision, threads: 2);
        CollectionAssert.AreEqual(first, Weights(precision, threads: 2));
        CollectionAssert.AreEqual(first, Weights(precision, threads: 1));
        CollectionAssert.AreEqual(first, Weights(precision, threads: 5));
        CollectionAssert.AreNotEqual(first, Weights(precision, threads: 2, seed: 4));
    }

    /// <summary>A tensor that a kernel touches but does not list in its Reads or Writes would lose its memory too early, and show here as NaN.</summary>
    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Poisoned_and_shared_memory_change_nothing(Precision precision)
    {
        var shared = Weights(precision, threads: 2);
        CollectionAssert.AreEqual(shared, Weights(precision, threads: 2, poison: true));
        CollectionAssert.AreEqual(shared, Weights(precision, threads: 2, keepAll: true));
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void A_warm_step_allocates_nothing(Precision precision)
    {
        using var session = Problems.Session(Problems.ConvNet, precision, 64);
        var batch = Problems.Random(64, 72, 3, 1);
        for (int i = 0; i < 3; i++)
        {
            Problems.Step(session, batch);
            session.EvaluatePass(batch);
        }
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 20; i++)
        {
            Problems.Step(session, batch);
            session.EvaluatePass(batch);
        }
        Assert.AreEqual(before, GC.GetAllocatedBytesForCurrentThread());
    }

    /// <summary>
    /// The workers of the pool too. The count is that of the whole process, whose test host may write a line at any time: most of
    /// ten looks must see nothing. A look is long enough for the workers to take part, which they do where they are awake in time.
    /// </summary>
    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void A_warm_step_allocates_nothing_on_any_thread(Precision precision)
    {
        using var session = Problems.Session(Problems.ConvNet, precision, 256, threads: 2);
        var batch = Problems.Random(256, 72, 3, 1);
        var looks = new long[11];
        for (int look = 0; look < looks.Length; look++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            for (int i = 0; i < 20; i++) Problems.Step(session, batch);
            looks[look] = GC.GetTotalAllocatedBytes(precise: true) - before;
        }
        // The first look warms up.
        Assert.IsGreaterThanOrEqualTo(6, looks[1..].Count(bytes => bytes == 0), $"bytes of each look: {string.Join(", ", looks)}");
    }

    private static float[] Weights(Precision precision, int threads, uint seed = 3, bool poison = false, bool keepAll = false)
    {
        using var session = Problems.Session(Problems.ConvNet, precision, 64, change: o => o with { Seed = seed, KeepAll = keepAll }, threads: threads, poison: poison);
        for (int i = 0; i < 5; i++) Problems.Step(session, Problems.Random(64, 72, 3, (uint)i));
        var weights = session.Read(session.Plan.Parameters.Masters);
        Assert.IsTrue(weights.All(float.IsFinite));
        return weights;
    }
}
