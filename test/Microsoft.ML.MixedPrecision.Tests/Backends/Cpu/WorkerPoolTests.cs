namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class WorkerPoolTests
{
    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(7)]
    public void Every_part_runs_once_whatever_the_number_of_threads(int threads)
    {
        var pool = new WorkerPool(threads);
        for (int parts = 0; parts <= 20; parts++)
        {
            var runs = new int[parts];
            pool.Run(parts, i => Interlocked.Increment(ref runs[i]));
            Assert.IsTrue(runs.All(r => r == 1), $"{parts} parts");
        }
    }

    [TestMethod]
    public void A_part_is_run_by_its_worker_or_taken_back_and_never_both()
    {
        var pool = new WorkerPool(3);
        var random = new Random(1);
        for (int round = 0; round < 20_000; round++)
        {
            var runs = new int[3];
            int delay = random.Next(40); // the caller comes for the other parts just as their workers begin
            pool.Run(3, i =>
            {
                if (i == 0) Thread.SpinWait(delay);
                Interlocked.Increment(ref runs[i]);
            });
            Assert.IsTrue(runs.All(r => r == 1), $"round {round}: {string.Join(' ', runs)}");
        }
    }

    [TestMethod]
    public void A_caller_that_finds_the_pool_taken_does_all_parts_itself()
    {
        var pool = new WorkerPool(2);
        using ManualResetEventSlim begun = new(), release = new();
        int caller = Environment.CurrentManagedThreadId;
        // The first job holds the pool until it is released, which only this thread does.
        var first = Task.Run(() => pool.Run(2, part => { begun.Set(); release.Wait(); }));
        begun.Wait();
        var threads = new int[2];
        pool.Run(2, part => threads[part] = Environment.CurrentManagedThreadId);
        release.Set();
        first.Wait();
        CollectionAssert.AreEqual(new[] { caller, caller }, threads);
    }

    [TestMethod]
    public void A_parked_worker_wakes()
    {
        var pool = new WorkerPool(2);
        for (int i = 0; i < 5; i++)
        {
            Thread.Sleep(2); // far longer than the 50 us that a worker spins
            int sum = 0;
            pool.Run(2, part => Interlocked.Add(ref sum, part + 1));
            Assert.AreEqual(3, sum);
        }
    }

    [TestMethod]
    public void An_exception_of_any_part_reaches_the_caller_and_the_pool_goes_on()
    {
        var pool = new WorkerPool(3);
        for (int bad = 0; bad < 4; bad++)
        {
            var e = Assert.ThrowsExactly<InvalidOperationException>(() => pool.Run(4, part => { if (part == bad) throw new InvalidOperationException($"part {bad}"); }));
            Assert.AreEqual($"part {bad}", e.Message);
            int sum = 0;
            pool.Run(3, part => Interlocked.Increment(ref sum));
            Assert.AreEqual(3, sum);
        }
    }

    [TestMethod]
    public void Callers_at_the_same_time_each_get_all_their_parts()
    {
        var pool = new WorkerPool(2);
        Parallel.For(0, 4, caller =>
        {
            for (int round = 0; round < 500; round++)
            {
                var runs = new int[3];
                pool.Run(3, i => Interlocked.Increment(ref runs[i]));
                Assert.IsTrue(runs.All(r => r == 1), $"caller {caller}, round {round}: {string.Join(' ', runs)}");
            }
        });
    }

    [TestMethod]
    public void A_part_may_use_the_pool_itself()
    {
        var pool = new WorkerPool(2);
        int sum = 0;
        pool.Run(2, _ => pool.Run(2, part => Interlocked.Increment(ref sum)));
        Assert.AreEqual(4, sum);
    }

    [TestMethod]
    public void Starting_a_job_allocates_nothing()
    {
        var pool = new WorkerPool(2);
        Action<int> part = static _ => { };
        pool.Run(2, part);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++) pool.Run(2, part);
        Assert.AreEqual(before, GC.GetAllocatedBytesForCurrentThread());
    }
}
