using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Sums that a product's threads take of the rows they have just stored.</summary>
[TestClass, TestCategory("VectorWidth")]
public sealed class StoredRowsTests
{
    /// <summary>Threads that share rows anyhow, and store them in steps of any length.</summary>
    [TestMethod]
    public void Every_part_is_summed_once_it_is_whole_and_by_a_thread_alone_only_what_that_stored() => Prop.ForAll<PositiveInt, PositiveInt[], PositiveInt[]>((rows, shares, steps) =>
    {
        int total = 0, begin = 0, step = 0;
        int[] borders = [0, .. shares.Select(s => total += s.Get * 37), total += rows.Get * 37];
        int whole = 0;
        var summed = new int[(total + ChannelParts.RowsPerPart - 1) / ChannelParts.RowsPerPart];
        bool tooEarly = false;
        var handle = GCHandle.Alloc((Action<long, long>)((first, end) =>
        {
            for (long part = first; part < end; part++)
            {
                summed[part]++;
                tooEarly |= part * ChannelParts.RowsPerPart < begin || Math.Min((part + 1) * ChannelParts.RowsPerPart, total) > whole;
            }
        }));
        var stored = new StoredRows(handle, total);
        for (int thread = 0; thread + 1 < borders.Length; thread++)
        {
            begin = whole = borders[thread];
            while (whole < borders[thread + 1])
            {
                int from = whole;
                whole = Math.Min(borders[thread + 1], from + (steps.Length == 0 ? 50 : steps[step++ % steps.Length].Get * 50));
                stored.SumWhole(begin, from, whole);
            }
        }
        bool once = summed.All(s => s <= 1);
        (begin, whole) = (0, total);
        for (int thread = 1; thread + 1 < borders.Length; thread++) stored.SumAcross(borders[thread]);
        handle.Free();
        return once && !tooEarly && summed.All(s => s > 0);
    }).QuickCheckThrowOnFailure();

    /// <summary>Every way of a product, with more than one part of 256 rows and threads that meet within one.</summary>
    [TestMethod]
    [DataRow("strips", 15 * 14)]
    [DataRow("strips turned around", 15 * 14)]
    [DataRow("rows of a grid", 15 * 14)]
    [DataRow("columns of a grid", 8)]
    [DataRow("parts of k", 8)]
    [DataRow("classes of pixels", 15 * 14)]
    public void Are_those_of_a_pass_over_memory(string way, int features)
    {
        var image = Network.Image(15, 14, 1);
        var vector = Network.Vector(features);
        var network = way switch
        {
            "strips" => image.Conv2d(32, 3, padding: 1, bias: false).BatchNorm().Relu().Conv2d(32, 3, padding: 1, bias: false).BatchNorm().Flatten().Linear(3),
            "strips turned around" => image.Conv2d(16, 3, padding: 1).Conv2d(16, 3, padding: 1, bias: false).BatchNorm().Flatten().Linear(3),
            "rows of a grid" => image.Conv2d(24, 1).Relu().Conv2d(20, 1, bias: false).BatchNorm().Flatten().Linear(3),
            "columns of a grid" => vector.Linear(2048).Relu().Linear(3),
            "parts of k" => vector.Linear(48).Relu().Linear(2048).Relu().Linear(3),
            "classes of pixels" => image.Conv2d(16, 3, padding: 1).Relu().Conv2d(32, 3, stride: 2, padding: 1).Flatten().Linear(3),
            _ => throw new ArgumentOutOfRangeException(nameof(way)),
        };
        int batch = features > 100 ? 7 : 301;
        foreach (var precision in (Precision[])[Precision.Mixed, Precision.Single])
        {
            foreach (int threads in (int[])[1, 2, 3])
            {
                using TrainingSession stored = Session(keepAll: false), apart = Session(keepAll: true);
                Assert.IsTrue(stored.Plan.Train.Any(s => s.Kernel is MatrixProduct { Reader: not null }));
                Assert.IsFalse(apart.Plan.Train.Any(s => s.Kernel is MatrixProduct { Reader: not null }));
                foreach (var session in (TrainingSession[])[stored, apart])
                {
                    var rows = Problems.Random(batch, features, 3, 1);
                    rows.RowCount = batch - 1; // the last is padding
                    Problems.Step(session, rows);
                }
                CollectionAssert.AreEqual(apart.Read(apart.Plan.Parameters.Gradients), stored.Read(stored.Plan.Parameters.Gradients), $"{precision}, {threads} threads");
                Assert.IsTrue(stored.Read(stored.Plan.Parameters.Gradients).Any(g => g != 0f));

                TrainingSession Session(bool keepAll) =>
                    Problems.Session(network, precision, batch, change: o => o with { KeepAll = keepAll, LossScale = LossScale.Static(16f) }, threads: threads);
            }
        }
    }
}
