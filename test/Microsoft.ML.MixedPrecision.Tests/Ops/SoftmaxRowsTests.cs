using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The exponentials of several rows at once.</summary>
[TestClass, TestCategory("VectorWidth")]
public sealed unsafe class SoftmaxRowsTests
{
    [TestMethod]
    public void Fold_joins_the_lanes_of_each_vector_in_one_order()
    {
        float* vectors = stackalloc float[64];
        for (int i = 0; i < 64; i++) vectors[i] = MathF.Sin(i * 1.7f) * MathF.Pow(10, i % 5);
        Vector256<float> totals = CpuVector.Fold<CpuVector.Total>(vectors), largest = CpuVector.Fold<CpuVector.Largest>(vectors);
        for (int i = 0; i < 8; i++)
        {
            float* v = vectors + 8 * i;
            Assert.AreEqual(v[0] + v[2] + (v[1] + v[3]) + (v[4] + v[6] + (v[5] + v[7])), totals[i]);
            Assert.AreEqual(new ReadOnlySpan<float>(v, 8).ToArray().Max(), largest[i]);
        }
    }

    /// <summary>One lane, around a vector and two, as many as are kept, and more: those are computed again.</summary>
    [TestMethod]
    [DataRow(1)]
    [DataRow(15)]
    [DataRow(16)]
    [DataRow(17)]
    [DataRow(33)]
    [DataRow(1000)]
    [DataRow(16384)]
    [DataRow(16385)]
    public void Softmax_of_rows_of_any_length_equals_the_reference(int width)
    {
        var (y, x) = Softmax(width, rows: 11);
        for (int r = 0; r < 11; r++)
        {
            double[] row = [.. x.AsSpan(r * width, width).ToArray().Select(v => (double)v)];
            double max = row.Max(), sum = row.Sum(v => Math.Exp(v - max));
            for (int c = 0; c < width; c++) Assert.AreEqual(Math.Exp(row[c] - max) / sum, y[r * width + c], 1e-6 * Math.Exp(row[c] - max) / sum, $"row {r}, column {c}");
        }
    }

    [TestMethod]
    [DataRow(17)]
    [DataRow(16385)]
    public void A_row_has_the_same_bits_among_others_and_alone(int width)
    {
        var (many, _) = Softmax(width, rows: 11);
        var (one, _) = Softmax(width, rows: 1);
        Assert.IsTrue(many.AsSpan(0, width).SequenceEqual(one));
    }

    [TestMethod]
    public void A_NaN_shows_in_its_row_and_in_no_other()
    {
        var (y, _) = Softmax(17, rows: 9, spoil: x => x[3 * 17 + 5] = float.NaN);
        for (int i = 0; i < y.Length; i++) Assert.AreEqual(i / 17 == 3, float.IsNaN(y[i]), $"{i}");
    }

    private static (float[] Output, float[] Input) Softmax(int width, int rows, Action<float[]>? spoil = null)
    {
        var plan = PlanBuilder.Build(Network.Vector(width).Softmax(), new PlanOptions(rows, Precision.Single, new PlantedGradient(), new Sgd()) { KeepAll = true });
        using var session = new TrainingSession(plan, new CpuBackend(Precision.Single, 1));
        var batch = new Batch(rows, width, width) { RowCount = rows };
        var random = new CounterRandom(1, 1);
        for (int i = 0; i < batch.Features.Length; i++) batch.Features[i] = 8 * CounterRandom.ToUnit(random.Bits((uint)i)) - 4;
        spoil?.Invoke(batch.Features);
        session.TrainPass(batch);
        return (session.Read(plan.TrainOutputs[plan.Layers[^1].Name]), batch.Features);
    }
}
