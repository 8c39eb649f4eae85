using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The orders in which rows come, and the batches that they are cut into.</summary>
[TestClass]
public sealed class RowPassTests
{
    private static readonly TrainingColumns Columns = new("Features", "Label", "Weight", ScoringTask.Multiclass, TrainerData.Features, TrainerData.Classes);

    private readonly MLContext _ml = new(seed: 1);

    [TestMethod]
    [DataRow(1, 4)]
    [DataRow(16, 4)]
    [DataRow(17, 4)]
    [DataRow(40, 4)]
    [DataRow(40, 40)]
    [DataRow(40, 64)]
    public void EachRowComesOnceInAnyOrder(int rows, int batch)
    {
        foreach (long bytes in (long[])[1 << 20, 16 * 10, 1])
        {
            var set = Set(rows, bytes);
            Assert.AreEqual(rows, set.Rows);
            float[] expected = [.. TrainerData.Rows(rows).Select(row => (float)(Half)row.Features[0])];
            CollectionAssert.AreEqual(expected, Firsts(set.InOrder, set, batch), ToHalf);
            foreach (int epoch in (int[])[1, 2])
            {
                // A set that was read in order has given its window back; a fresh one shuffles.
                float[] shuffled = Firsts(() => set.Shuffled(5, epoch), set, batch);
                CollectionAssert.AreEqual(expected.Order().ToArray(), shuffled.Order().ToArray(), ToHalf);
            }
        }
    }

    [TestMethod]
    public void AnOrderIsAFunctionOfSeedAndEpoch()
    {
        foreach (long bytes in (long[])[1 << 20, 16 * 30])
        {
            var set = Set(100, bytes);
            float[] Order(uint seed, int epoch) => Firsts(() => set.Shuffled(seed, epoch), set, 8);
            float[] one = Order(5, 1);
            CollectionAssert.AreNotEqual(one, Order(5, 2));
            CollectionAssert.AreNotEqual(one, Order(6, 1));
            CollectionAssert.AreEqual(one, Order(5, 1));
        }
    }

    [TestMethod]
    public void AWindowHandsOutRowsThatAreNear()
    {
        var rows = TrainerData.Rows(200).Select((row, i) => { row.Features[0] = i; return row; });
        var set = Set(TrainerData.Keyed(_ml, rows), 200, 16 * 20);
        Assert.AreEqual(20, set.Window);
        Assert.IsFalse(set.IsCached);
        foreach (var (place, row) in Firsts(() => set.Shuffled(1, 1), set, 16).Index()) Assert.IsLessThan(place + 20, (int)row, "A row came before it was read.");
    }

    [TestMethod]
    public void APermutationIsFair()
    {
        // Each of 4 items at each of 4 places, 4000 times: binomial, 1000 +- 6 deviations of sqrt(4000 * 1/4 * 3/4).
        var counts = new int[4, 4];
        int[] order = new int[4];
        for (int epoch = 0; epoch < 4000; epoch++)
        {
            new ShuffleOrder(3, epoch).Permute(order);
            foreach (var (place, item) in order.Index()) counts[place, item]++;
        }
        double deviation = Math.Sqrt(4000 * 0.25 * 0.75);
        foreach (int count in counts) Assert.AreEqual(1000, count, 6 * deviation);
    }

    [TestMethod]
    public void TheLastBatchIsClearedBehindItsRows()
    {
        var set = Set(10, 1 << 20);
        using var pass = set.InOrder();
        var batch = set.NewBatch(6);
        Assert.IsTrue(pass.Fill(batch, default));
        Assert.AreEqual(6, batch.RowCount);
        Assert.IsTrue(batch.Weights.All(w => w > 0));
        Assert.IsTrue(pass.Fill(batch, default));
        Assert.AreEqual(4, batch.RowCount);
        Assert.IsTrue(batch.Features.AsSpan(4 * TrainerData.Features).IndexOfAnyExcept(0f) < 0);
        CollectionAssert.AreEqual(new[] { 1f, 2f, 1f, 2f, 0f, 0f }, batch.Weights);
        Assert.IsTrue(batch.Classes.AsSpan(4).IndexOfAnyExcept(0) < 0);
        Assert.IsFalse(pass.Fill(batch, default));
    }

    [TestMethod]
    public void FillingABatchAllocatesNothing()
    {
        var cached = Set(4000, 1 << 20);
        Assert.IsTrue(cached.IsCached);
        var batch = cached.NewBatch(16);
        using var pass = cached.Shuffled(1, 1);
        pass.Fill(batch, default);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++) pass.Fill(batch, default);
        Assert.AreEqual(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [TestMethod]
    public void TheSplitIsAFunctionOfTheSeedAndAboutTheFraction()
    {
        var filter = new RowFilter(0.3f, 11);
        int[] Validation(RowFilter of) => [.. Enumerable.Range(0, 10000).Where(row => of.IsValidation(row))];
        int[] rows = Validation(filter);
        Assert.AreEqual(3000, rows.Length, 6 * Math.Sqrt(10000 * 0.3 * 0.7)); // binomial, six deviations
        CollectionAssert.AreEqual(rows, Validation(new RowFilter(0.3f, 11)));
        CollectionAssert.AreNotEqual(rows, Validation(new RowFilter(0.3f, 12)));
        Assert.IsEmpty(Validation(new RowFilter(0f, 11)));
        CollectionAssert.AreNotEqual(rows, (int[])[.. Enumerable.Range(0, 10000).Where(row => filter.IsValidation(row + (1L << 32)))], "Row numbers are more than 32 bits.");
    }

    [TestMethod]
    [DataRow(DataKind.Byte)]
    [DataRow(DataKind.UInt16)]
    [DataRow(DataKind.UInt32)]
    [DataRow(DataKind.UInt64)]
    public void AKeyMayHaveAnyWidth(DataKind kind)
    {
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName() + ".tsv");
        try
        {
            File.WriteAllLines(path, ["0\t1.5", "1\t2.5", "2\t3.5"]);
            var data = _ml.Data.LoadFromTextFile(path, [new TextLoader.Column("Label", kind, [new TextLoader.Range(0)], new KeyCount(3)), new TextLoader.Column("Features", DataKind.Single, 1, 1)]);
            using var reader = new RowReader(data, new TrainingColumns("Features", "Label", null, ScoringTask.Multiclass, 1, 3), Precision.Mixed, null, "");
            foreach (int expected in (int[])[0, 1, 2])
            {
                Assert.IsTrue(reader.Read());
                Assert.AreEqual((expected, expected + 1.5f), (reader.Class, reader.Features[0]));
            }
            Assert.IsFalse(reader.Read());
        }
        finally
        {
            File.Delete(path);
        }
    }

    [TestMethod]
    public void SparseFeaturesAreMadeDense()
    {
        var data = _ml.Transforms.Conversion.MapValueToKey("Label", "Name").Append(_ml.Transforms.Categorical.OneHotEncoding("Features", "Name")).Fit(TrainerData.View(_ml, 30)).Transform(TrainerData.View(_ml, 30));
        using var reader = new RowReader(data, Columns with { FeatureCount = 3, Weight = null }, Precision.Mixed, null, "");
        while (reader.Read())
        {
            float[] expected = new float[3];
            expected[reader.Class] = 1f;
            CollectionAssert.AreEqual(expected, reader.Features.ToArray());
        }
    }

    private static readonly System.Collections.IComparer ToHalf = Comparer<float>.Create((a, b) => ((Half)a).CompareTo((Half)b));

    private RowSet Set(int rows, long bytes) => Set(TrainerData.Keyed(_ml, rows), rows, bytes);

    private static RowSet Set(IDataView data, int rows, long bytes)
    {
        var set = new RowSet(data, Columns, Precision.Mixed, null, _ => true, bytes, "");
        using var reader = new RowReader(data, Columns, Precision.Mixed, null, "");
        while (reader.Read()) set.Admit(reader);
        Assert.AreEqual(rows, set.Rows);
        return set;
    }

    /// <summary>The first feature of each row of a pass, through the prefetching thread.</summary>
    private static float[] Firsts(Func<RowPass> open, RowSet set, int rows)
    {
        var firsts = new List<float>();
        using var batches = new Prefetcher(open, [.. Enumerable.Range(0, Prefetcher.Batches).Select(_ => set.NewBatch(rows))]);
        while (batches.Next(default) is { } batch)
            for (int i = 0; i < batch.RowCount; i++) firsts.Add(batch.Features[i * TrainerData.Features]);
        return [.. firsts];
    }
}
