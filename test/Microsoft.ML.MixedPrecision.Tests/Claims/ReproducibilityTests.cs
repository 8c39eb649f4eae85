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

    /// <summary>A large batch, so that the workers of the pool take part where they are awake in time: their threads are counted too.</summary>
    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void A_warm_step_allocates_nothing_on_any_thread(Precision precision)
    {
        using var session = Problems.Session(Problems.ConvNet, precision, 256, threads: 2);
        var batch = Problems.Random(256, 72, 3, 1);
        long[] bytes = new long[WorkerPool.Shared.Threads], before = new long[bytes.Length];
        int arrived = 0;
        // A part that waits for all others is on a thread of its own, always the same: each writes the count of its own thread.
        // It spins, because to sleep may allocate.
        Action<int> count = i =>
        {
            Interlocked.Increment(ref arrived);
            while (Volatile.Read(ref arrived) % bytes.Length != 0) Thread.SpinWait(1);
            bytes[i] = GC.GetAllocatedBytesForCurrentThread();
        };
        for (int i = 0; i < 3; i++) StepAndEvaluate();
        WorkerPool.Shared.Run(bytes.Length, count);
        bytes.CopyTo(before);
        for (int i = 0; i < 20; i++) StepAndEvaluate();
        WorkerPool.Shared.Run(bytes.Length, count);
        CollectionAssert.AreEqual(before, bytes);

        void StepAndEvaluate()
        {
            Problems.Step(session, batch);
            session.EvaluatePass(batch);
        }
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
