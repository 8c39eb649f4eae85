using System.Diagnostics;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The thread that fills batches ahead.</summary>
[TestClass]
public sealed class PrefetcherTests
{
    private static Batch[] Ring => [.. Enumerable.Range(0, Prefetcher.Batches).Select(_ => new Batch(2, 1, 1))];

    [TestMethod]
    [DataRow(0)]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(3)]
    [DataRow(101)]
    public void BatchesComeInTheirOrder(int rows)
    {
        using var batches = new Prefetcher(() => new Counting(rows), Ring);
        int next = 0;
        while (batches.Next(default) is { } batch)
        {
            for (int i = 0; i < batch.RowCount; i++) Assert.AreEqual(next++, batch.Features[i]);
        }
        Assert.AreEqual(rows, next);
    }

    [TestMethod]
    public void AnExceptionComesAfterTheBatchesBeforeIt()
    {
        using var batches = new Prefetcher(() => new Counting(100, failAt: 6), Ring);
        for (int i = 0; i < 3; i++) Assert.IsNotNull(batches.Next(default));
        StringAssert.Contains(Assert.ThrowsExactly<FormatException>(() => batches.Next(default)).Message, "row 6");
    }

    [TestMethod]
    public void APassThatDoesNotOpenThrowsToo()
    {
        using var batches = new Prefetcher(() => throw new IOException("gone"), Ring);
        Assert.ThrowsExactly<IOException>(() => batches.Next(default));
    }

    [TestMethod]
    public void AnEndInTheMiddleDisposesThePass()
    {
        var pass = new Counting(1000);
        var batches = new Prefetcher(() => pass, Ring);
        Assert.IsNotNull(batches.Next(default));
        batches.Dispose();
        Assert.IsTrue(pass.IsDisposed);
    }

    [TestMethod]
    public void WaitingIsCancelled()
    {
        using var release = new ManualResetEventSlim();
        using var source = new CancellationTokenSource();
        using var batches = new Prefetcher(() => new Counting(10, block: release), Ring);
        source.CancelAfter(20);
        var clock = Stopwatch.StartNew();
        Assert.Throws<OperationCanceledException>(() => batches.Next(source.Token));
        Assert.IsLessThan(TimeSpan.FromSeconds(20), clock.Elapsed);
        release.Set();
    }

    [TestMethod]
    public void HandingABatchOverAllocatesNothing()
    {
        using var batches = new Prefetcher(() => new Counting(4000), Ring);
        for (int i = 0; i < 20; i++) batches.Next(default);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++) batches.Next(default);
        Assert.AreEqual(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private sealed class Counting(int rows, int failAt = -1, ManualResetEventSlim? block = null) : RowPass
    {
        private int _next;

        public bool IsDisposed { get; private set; }

        protected override bool Next(Batch batch, int index)
        {
            block?.Wait();
            if (_next == failAt) throw new FormatException($"row {failAt}");
            if (_next == rows) return false;
            batch.Features[index] = _next++;
            return true;
        }

        public override void Dispose()
        {
            IsDisposed = true;
            base.Dispose();
        }
    }
}
