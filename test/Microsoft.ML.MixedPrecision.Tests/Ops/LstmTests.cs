namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class LstmTests
{
    /// <summary>The least, primes, whole vectors of eight, more than a vector of sixteen.</summary>
    private static readonly (int Length, int Features, int Hidden, int Batch, int Rows)[] Sizes = [(2, 1, 1, 1, 1), (3, 2, 5, 3, 2), (4, 3, 8, 2, 2), (2, 2, 17, 2, 2)];

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var (length, features, hidden, batch, rows) in Sizes)
            OpCheck.Run(row.Create(), Network.Sequence(length, features).Lstm(hidden), v => Reference(v, length, features, hidden), batch, roundings: 10, rows: rows);
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_last_state_alone_equals_the_reference(BackendRow row)
    {
        foreach (var (length, features, hidden, batch, rows) in Sizes)
        {
            OpCheck.Run(row.Create(), Network.Sequence(length, features).Lstm(hidden, returnSequence: false),
                v => [.. Reference(v, length, features, hidden).Chunk(length * hidden).SelectMany(x => x.TakeLast(hidden))], batch, roundings: 10, rows: rows);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Two_directions_equal_the_reference_in_both_directions(BackendRow row)
    {
        foreach (var (length, features, hidden, batch, rows) in Sizes)
        {
            OpCheck.Run(row.Create(), Network.Sequence(length, features).Lstm(hidden, bidirectional: true), v => BothWays(v, length, features, hidden), batch, roundings: 10, rows: rows);
            OpCheck.Run(row.Create(), Network.Sequence(length, features).Lstm(hidden, returnSequence: false, bidirectional: true),
                v => [.. BothWays(v, length, features, hidden).Chunk(length * 2 * hidden).SelectMany(x => (double[])[.. x.TakeLast(2 * hidden).Take(hidden), .. x.Skip(hidden).Take(hidden)])], batch, roundings: 10, rows: rows);
        }
    }

    /// <summary>The last position of three by three by five halves does not begin at a multiple of 16 bytes, which GPU kernels want of what they read.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Another_layer_reads_the_last_state(BackendRow row) => OpCheck.Run(row.Create(), Network.Sequence(3, 2).Lstm(5, returnSequence: false).Relu(),
        v => [.. Reference(v, 3, 2, 5).Chunk(15).SelectMany(x => x.TakeLast(5)).Select(y => Math.Max(y, 0))], batch: 3, roundings: 10);

    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void Layers_of_it_follow_each_other(BackendRow row) => OpCheck.Run(row.Create(), Network.Sequence(3, 2).Lstm(3).Lstm(2, returnSequence: false), v =>
    {
        var first = new OpValues(v.Batch, v.Input, [.. v.Parameters.Take(3)]);
        return [.. Reference(new(v.Batch, Reference(first, 3, 2, 3), [.. v.Parameters.Skip(3)]), 3, 3, 2).Chunk(6).SelectMany(x => x.TakeLast(2))];
    }, batch: 2, roundings: 20);

    /// <summary>A cell of 1 to which each position adds 1/4087, a quarter of the step between halves there: as a half it would stay 1.</summary>
    [TestMethod]
    public void Cells_are_added_up_in_FP32()
    {
        const int Length = 1000;
        var options = new PlanOptions(1, Precision.Mixed, new PlantedGradient(), new Sgd()) { KeepAll = true };
        using var session = new TrainingSession(PlanBuilder.Build(Network.Sequence(Length, 1).Lstm(1, returnSequence: false), options), new CpuBackend(Precision.Mixed));
        var parameters = session.Plan.Parameters.Parameters;
        // i = sigmoid(10) where x is 1, at first, and sigmoid(-8.3125) where it is 1/2; f, g and o are 1.
        session.SetParameter(parameters[0], [36.625f, 0f, 20f, 0f]);
        session.SetParameter(parameters[1], [0f, 0f, 0f, 0f]);
        session.SetParameter(parameters[2], [-26.625f, 20f, 0f, 20f]);
        var batch = new Batch(1, Length, 1) { RowCount = 1 };
        Array.Fill(batch.Features, 0.5f);
        (batch.Features[0], batch.Weights[0]) = (1f, 1f);
        session.EvaluatePass(batch);
        float[] output = new float[1];
        session.ReadOutput(output);
        Assert.AreEqual(Math.Tanh(1 / (1 + Math.Exp(-10)) + (Length - 1) / (1 + Math.Exp(8.3125))), output[0], 2 * Tolerance.HalfEps);
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Exports(Precision precision)
    {
        ExportHarness.Run(new CpuBackend(precision), Network.Sequence(5, 3).Lstm(4));
        ExportHarness.Run(new CpuBackend(precision), Network.Sequence(5, 3).Lstm(4, bidirectional: true).Lstm(3, returnSequence: false, bidirectional: true).Linear(2));
        ExportHarness.Run(new CpuBackend(precision), Network.Sequence(5, 3).Lstm(4).Relu().Lstm(6, returnSequence: false).Linear(2));
    }

    [TestMethod]
    public void Has_PyTorchs_shapes_and_defaults()
    {
        Defaults.AssertEqual(nameof(Network.Lstm), ("returnSequence", true), ("bidirectional", false));
        var network = Network.Sequence(7, 3).Lstm(5);
        Assert.AreEqual(Shape.Sequence(7, 5), network.Shape);
        Assert.AreEqual(Shape.Vector(5), Network.Sequence(7, 3).Lstm(5, returnSequence: false).Shape);
        Assert.AreEqual(4 * 5 * (3 + 5 + 1), network.ParameterCount);
        var both = Network.Sequence(7, 3).Lstm(5, bidirectional: true);
        Assert.AreEqual(Shape.Sequence(7, 10), both.Shape);
        Assert.AreEqual(Shape.Vector(10), Network.Sequence(7, 3).Lstm(5, returnSequence: false, bidirectional: true).Shape);
        Assert.AreEqual(2 * network.ParameterCount, both.ParameterCount);
        CollectionAssert.AreEqual((string[])["Lstm1.Forward", "Lstm1.Backward", "Lstm1"], both.Node.Sorted().Skip(1).Select(node => node.Name).ToArray());
        foreach (var parameter in network.Node.Op!.Parameters([Shape.Sequence(7, 3)]))
        {
            float[] values = parameter.Initializer.Create(1000, new CounterRandom(1, 2));
            Assert.AreEqual(1 / Math.Sqrt(5), values.Max(), 0.01);
            Assert.AreEqual(-1 / Math.Sqrt(5), values.Min(), 0.01);
        }
    }

    [TestMethod]
    public void Says_what_does_not_fit()
    {
        Message("Lstm 'l': expected a sequence [length, features], got a vector 8; start from Network.Sequence(...), or put Reshape(length, features) before it.", Network.Vector(8));
        Message("Lstm 'l': expected a sequence of at least 2 positions, got a sequence 1x8; a Linear does for one.", Network.Sequence(1, 8));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Sequence(3, 6).Lstm(0));

        static void Message(string expected, Network input) => Assert.AreEqual(expected, Assert.ThrowsExactly<ArgumentException>(() => input.Lstm(2, name: "l")).Message);
    }

    /// <summary>Beside each other at each position: the parameters of the way there, then those of the way back.</summary>
    private static double[] BothWays(OpValues v, int length, int features, int hidden)
    {
        double[] Backwards(double[] x, int columns) => [.. x.Chunk(length * columns).SelectMany(example => example.Chunk(columns).Reverse().SelectMany(position => position))];
        double[] there = Reference(new(v.Batch, v.Input, [.. v.Parameters.Take(3)]), length, features, hidden);
        double[] back = Backwards(Reference(new(v.Batch, Backwards(v.Input, features), [.. v.Parameters.Skip(3)]), length, features, hidden), hidden);
        return [.. there.Chunk(hidden).Zip(back.Chunk(hidden)).SelectMany(position => position.First.Concat(position.Second))];
    }

    private static double[] Reference(OpValues v, int length, int features, int hidden)
    {
        var y = new double[v.Batch * length * hidden];
        static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
        for (int n = 0; n < v.Batch; n++)
        {
            double[] h = new double[hidden], c = new double[hidden];
            for (int l = 0; l < length; l++)
            {
                double[] a = [.. Enumerable.Range(0, 4 * hidden).Select(gate => v.Parameters[2][gate]
                    + Enumerable.Range(0, features).Sum(i => v.Input[(n * length + l) * features + i] * v.Parameters[0][i * 4 * hidden + gate])
                    + Enumerable.Range(0, hidden).Sum(i => h[i] * v.Parameters[1][i * 4 * hidden + gate]))];
                for (int j = 0; j < hidden; j++)
                {
                    c[j] = Sigmoid(a[hidden + j]) * c[j] + Sigmoid(a[j]) * Math.Tanh(a[2 * hidden + j]);
                    y[(n * length + l) * hidden + j] = Sigmoid(a[3 * hidden + j]) * Math.Tanh(c[j]);
                }
                h = [.. y.Skip((n * length + l) * hidden).Take(hidden)];
            }
        }
        return y;
    }
}
