namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Sums that the tensor-core product takes of the columns of a tile as it stores it.</summary>
[TestClass]
public sealed class TileSumsTests
{
    /// <summary>The mean and the squared deviations of each tile's rows, as stored, where the last example is padding.</summary>
    [TestMethod, DynamicData(nameof(TensorProductTests.All), typeof(TensorProductTests))]
    public void Statistics_of_each_tile((string Device, int Tile) row)
    {
        var tile = TensorProductTests.Tiles[row.Tile];
        foreach (var (examples, valid, perExample, n, k) in ((int, int, int, int, int)[])[(3, 3, 50, 72, 40), (5, 4, 33, 8, 9), (4, 1, 35, 136, 8)])
        {
            if (tile.OfWarpGroups && (k & 7) != 0) continue;
            int m = examples * perExample, parts = (m + tile.Rows - 1) / tile.Rows;
            using var run = TensorProductTests.Create(row.Device);
            var (sourceA, _) = run.Random("A", m * k);
            var (sourceB, _) = run.Random("B", k * n);
            var c = run.Filled("C", examples, perExample, n);
            var reader = Statistics(run, c, valid);
            run.Execute(new TensorProductTests.Fixed(
                new MatrixProduct("Test", new DenseOperand(sourceA, m, k, 0, k, false), new DenseOperand(sourceB, k, n, 0, n, false), c, 0, n).ReadBy(reader)!, tile, 64));

            float[] stored = run.Read(c), actual = run.Read(reader.Parts);
            for (int part = 0; part < parts; part++)
            {
                int first = part * tile.Rows, rows = Math.Min(Math.Min(tile.Rows, m - first), valid * perExample - first);
                for (int column = 0; column < n; column++)
                {
                    float mean = actual[part * 2 * n + column], squares = actual[(part * 2 + 1) * n + column];
                    string what = $"{row.Device}, {m} x {n}, part {part}, column {column}";
                    if (rows <= 0)
                    {
                        Assert.AreEqual(ProductRun.Untouched, mean, what);
                        Assert.AreEqual(ProductRun.Untouched, squares, what);
                        continue;
                    }
                    double[] values = [.. Enumerable.Range(first, rows).Select(r => (double)stored[r * n + column])];
                    double average = values.Average();
                    Assert.AreEqual(average, mean, 1e-5, what);
                    Assert.AreEqual(values.Sum(v => (v - average) * (v - average)), squares, 1e-4 * rows, what);
                }
            }
        }
    }

    /// <summary>A column far from 0, where E[x^2] - E[x]^2 would cancel: deviations of 1 around 1000 in halves, whose steps are 0.5 there.</summary>
    [TestMethod]
    public void Statistics_of_a_column_far_from_zero()
    {
        const int M = 64, N = 8;
        using var run = TensorProductTests.Create("simulator");
        var (a, b, c) = (run.Filled("A", M, N), run.Filled("B", N, N), run.Filled("C", 1, M, N));
        run.Write(a, i => i % N == 0 ? 1000f : i % N == 1 ? i / N % 2 : 0f);
        run.Write(b, i => i / N < 2 ? 1f : 0f);
        var reader = Statistics(run, c, valid: 1);
        run.Execute(new TensorProductTests.Fixed(
            new MatrixProduct("Test", new DenseOperand(a, M, N, 0, N, false), new DenseOperand(b, N, N, 0, N, false), c, 0, N).ReadBy(reader)!, TensorPlan.Small, 32));
        CollectionAssert.AreEqual((float[])[.. Enumerable.Repeat(1000.5f, N), .. Enumerable.Repeat(16f, N)], run.Read(reader.Parts));
    }

    /// <summary>The statistics of <paramref name="x"/>, [examples, pixels, channels], of which the first <paramref name="valid"/> examples count.</summary>
    internal static ColumnReader Statistics(ProductRun run, Tensor x, int valid)
    {
        int channels = x.Dimensions[^1];
        Tensor Channels(string name) => run.Singles(name, channels);
        return new BatchNormStatistics(x, run.Singles("parts", ColumnReader.MostParts(x), 2, channels), Channels("mean"), Channels("inverse"), Channels("running mean"), Channels("running variance"),
            run.Integers("counters", [valid, .. new int[StepControl.CounterCount - 1]]), 1e-5f, 0.1f);
    }
}
