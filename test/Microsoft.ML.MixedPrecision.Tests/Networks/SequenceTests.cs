namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Sequences go through the layers that know nothing of them but their shape; those of images see one row.</summary>
[TestClass]
public sealed class SequenceTests
{
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_Linear_works_on_each_position(BackendRow row) => OpCheck.Run(row.Create(), Network.Sequence(5, 3).Linear(4),
        v => [.. v.Input.Chunk(3).SelectMany(x => v.Parameters[1].Select((b, o) => b + x.Select((e, i) => e * v.Parameters[0][i * 4 + o]).Sum()))], batch: 2, rows: 2);

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_LayerNorm_works_on_each_position(BackendRow row) => OpCheck.Run(row.Create(), Network.Sequence(3, 9).LayerNorm(), v => [.. v.Input.Chunk(9).SelectMany(x =>
    {
        double mean = x.Average(), variance = x.Sum(e => (e - mean) * (e - mean)) / x.Length;
        return x.Select((e, i) => (e - mean) / Math.Sqrt(variance + 1e-5f) * v.Parameters[0][i] + v.Parameters[1][i]);
    })], batch: 3, roundings: 6, rows: 2);

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_Softmax_works_on_each_position(BackendRow row) => OpCheck.Run(row.Create(), Network.Sequence(3, 9).Softmax(), v => [.. v.Input.Chunk(9).SelectMany(x =>
    {
        double sum = x.Sum(Math.Exp);
        return x.Select(e => Math.Exp(e) / sum);
    })], batch: 2, roundings: 3);

    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void A_Conv1d_slides_over_positions(BackendRow row) => OpCheck.Run(row.Create(), Network.Sequence(7, 2).Conv1d(3, kernel: 3, stride: 2, padding: 1), v => [.. v.Input.Chunk(14).SelectMany(x =>
        Enumerable.Range(0, 4).SelectMany(o => Enumerable.Range(0, 3).Select(f => v.Parameters[1][f] + Enumerable.Range(0, 3).Where(k => o * 2 + k - 1 is >= 0 and < 7)
            .Sum(k => Enumerable.Range(0, 2).Sum(c => x[(o * 2 + k - 1) * 2 + c] * v.Parameters[0][(k * 2 + c) * 3 + f])))))], batch: 2);

    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void Pools_take_windows_of_positions(BackendRow row)
    {
        static double[] Windows(OpValues v, Func<IEnumerable<double>, double> pool, int kernel, int stride) => [.. v.Input.Chunk(12).SelectMany(x =>
            Enumerable.Range(0, (6 - kernel) / stride + 1).SelectMany(o => Enumerable.Range(0, 2).Select(c => pool(Enumerable.Range(o * stride, kernel).Select(p => x[p * 2 + c])))))];
        OpCheck.Run(row.Create(), Network.Sequence(6, 2).MaxPool1d(2), v => Windows(v, w => w.Max(), 2, 2), batch: 2);
        OpCheck.Run(row.Create(), Network.Sequence(6, 2).AvgPool1d(3, stride: 1), v => Windows(v, w => w.Average(), 3, 1), batch: 2, roundings: 4);
        OpCheck.Run(row.Create(), Network.Sequence(6, 2).GlobalAvgPool1d(), v => Windows(v, w => w.Average(), 6, 6), batch: 2, roundings: 4);
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Every_layer_of_a_sequence_exports(Precision precision)
    {
        var x = Network.Sequence(6, 4);
        foreach (var network in (Network[])
            [
                x.Linear(3), x.LayerNorm(), x.BatchNorm(), x.Softmax(), x.Gelu(), x.Relu().Dropout(), Network.Concat(x, x.Tanh()), x + x.Silu(), x * x.Sigmoid(), x.Flatten().Linear(2),
                x.Reshape(2, 3, 4).Conv2d(2, 2).Reshape(2, 2), x.Reshape(8, 3), Network.Vector(12).Reshape(4, 3).LeakyRelu(), Network.Image(2, 3, 2).Reshape(3, 4).Linear(2),
                x.Conv1d(5, 3, padding: 1), x.MaxPool1d(2), x.AvgPool1d(3, 1), x.GlobalAvgPool1d(), Architectures.TransformerEncoder(x.PositionalEmbedding(), layers: 1, heads: 2),
            ])
        {
            ExportHarness.Run(new CpuBackend(precision), network);
        }
    }

    [TestMethod]
    public void A_TransformerEncoder_has_PyTorchs_parameters()
    {
        var network = Architectures.TransformerEncoder(Network.Sequence(10, 32), layers: 2, heads: 4, hidden: 64);
        Assert.AreEqual(Shape.Sequence(10, 32), network.Shape);
        const int Layer = (32 * 96 + 96) + (32 * 32 + 32) + (32 * 64 + 64) + (64 * 32 + 32) + 2 * 64; // TransformerEncoderLayer(32, 4, 64)
        Assert.AreEqual(2 * Layer + 64, network.ParameterCount);
        Assert.AreEqual(4, network.Node.Sorted().Count(n => n.Op is Dropout));
        Assert.AreEqual(0, Architectures.TransformerEncoder(Network.Sequence(10, 32), 1, 4, dropout: 0f).Node.Sorted().Count(n => n.Op is Dropout));
        Assert.AreEqual(4 * 32, Architectures.TransformerEncoder(Network.Sequence(10, 32), 1, 4).Node.Sorted().Single(n => n.Op is Gelu).Shape.Channels);
        Defaults.AssertEqual(typeof(Architectures), nameof(Architectures.TransformerEncoder), ("hidden", null), ("dropout", 0.1f), ("mask", null), ("causal", false));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Architectures.TransformerEncoder(Network.Sequence(2, 2), 0, 1));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Architectures.TransformerEncoder(Network.Sequence(2, 2), 1, 1, dropout: 1f));
    }

    [TestMethod]
    public void Have_the_defaults_of_PyTorch()
    {
        Defaults.AssertEqual(nameof(Network.Conv1d), ("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1), ("bias", true));
        Defaults.AssertEqual(nameof(Network.MaxPool1d), ("stride", null), ("padding", 0));
        Defaults.AssertEqual(nameof(Network.AvgPool1d), ("stride", null), ("padding", 0), ("countIncludePad", true));
        Assert.AreEqual(Shape.Sequence(3, 2), Network.Sequence(9, 2).MaxPool1d(3).Shape);
        Assert.AreEqual(Shape.Sequence(3, 2), Network.Sequence(9, 2).AvgPool1d(3).Shape);
        Assert.AreEqual(Shape.Sequence(3, 4), Network.Sequence(9, 2).Conv1d(4, kernel: 3, dilation: 3, groups: 2).Shape);
    }

    [TestMethod]
    public void Say_what_does_not_fit()
    {
        Message("Conv1d: expected a sequence [length, features], got a vector 8; start from Network.Sequence(...), or put Reshape(length, features) before it.", () => Network.Vector(8).Conv1d(2, 1));
        Message("Conv2d 'c': expected a kernel that fits the input 1x3x2 with padding 0, got 1x4 with dilation 1; use a smaller kernel or more padding.", () => Network.Sequence(3, 2).Conv1d(2, 4, name: "c"));
        Message("Concat 'Concat1': expected sequences of 3 positions, got a sequence 4x2; bring all branches to one size; Flatten() makes vectors.", () =>
        {
            var x = Network.Sequence(4, 2);
            Network.Concat(x.Flatten().Linear(6).Reshape(3, 2), x);
        });
        Message("Reshape 'r': expected 6 elements for 2x3, got 8 in 8; choose extents whose product is the number of elements.", () => Network.Vector(8).Reshape(2, 3, "r"));
        Message("Conv2d 'c': expected an image [height, width, channels], got a sequence 3x2; start from Network.Image(...), or put Reshape(height, width, channels) before it.", () => Network.Sequence(3, 2).Conv2d(2, 1, name: "c"));

        static void Message(string expected, Action build) => Assert.AreEqual(expected, Assert.ThrowsExactly<ArgumentException>(build).Message);
    }

    [TestMethod]
    public void A_shape_knows_what_it_is()
    {
        var shape = Shape.Sequence(4, 3);
        Assert.IsTrue(shape is { IsSequence: true, IsVector: false, IsImage: false, Length: 4, Channels: 3, Size: 12, Rank: 2 });
        Assert.AreEqual("4x3", shape.ToString());
        Assert.ThrowsExactly<InvalidOperationException>(() => Shape.Vector(3).Length);
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Sequence(0, 2));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Sequence(2, 0));
    }
}
