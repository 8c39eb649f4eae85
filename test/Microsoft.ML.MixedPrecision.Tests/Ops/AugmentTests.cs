namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class AugmentTests
{
    private const int Batch = 12, Height = 5, Width = 4;

    /// <summary>Each image is one of the moved ones, and its gradient what comes back the same way; channels in vectors of eight and not.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Moves_whole_images_and_their_gradients_back(BackendRow row)
    {
        foreach (var (channels, shift, flip) in ((int, int, bool)[])[(1, 2, true), (8, 1, true), (3, 3, false), (2, 0, true)])
        {
            using var session = Session(row, channels, shift, flip);
            var batch = Images(channels);
            var (y, dx) = Pass(session, batch);
            int size = Height * Width * channels;
            var found = new HashSet<(int, int, bool)>();
            for (int n = 0; n < Batch; n++)
            {
                float[] x = batch.Features[(n * size)..((n + 1) * size)], dy = batch.Values[(n * size)..((n + 1) * size)];
                var move = Moves(shift, flip).Where(move => Moved(x, channels, move).AsSpan().SequenceEqual(y.AsSpan(n * size, size))).ToArray();
                Assert.HasCount(1, move, $"image {n} of {channels} channels");
                CollectionAssert.AreEqual(MovedBack(dy, channels, move[0]), dx[(n * size)..((n + 1) * size)], $"gradient of image {n} of {channels} channels, {move[0]}");
                found.Add(move[0]);
            }
            Assert.IsGreaterThan(1, found.Count);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Moves_are_the_same_on_every_device_change_from_pass_to_pass_and_repeat_with_the_seed(BackendRow row)
    {
        using TrainingSession cpu = new(Plan(Precision.Single, 1, 2, true, 1), new CpuBackend(Precision.Single)), first = Session(row, 1, 2, true), second = Session(row, 1, 2, true), other = Session(row, 1, 2, true, seed: 2);
        var batch = Images(1);
        float[] moved = Pass(first, batch).Y;
        CollectionAssert.AreEqual(Pass(cpu, batch).Y, moved);
        CollectionAssert.AreEqual(moved, Pass(second, batch).Y);
        CollectionAssert.AreNotEqual(moved, Pass(other, batch).Y);
        CollectionAssert.AreNotEqual(moved, Pass(first, batch).Y);
    }

    /// <summary>Within five standard deviations of a binomial share.</summary>
    [TestMethod]
    public void All_moves_are_equally_frequent()
    {
        const int Images = 20_000, Kinds = 3 * 3 * 2;
        var moves = Enumerable.Range(0, Images).Select(n => MoveDraw.Of(new(7, 3, 1, true), n, 5)).CountBy(move => move).ToDictionary();
        Assert.HasCount(Kinds, moves);
        const double Share = 1.0 / Kinds;
        foreach (var (move, count) in moves) Assert.AreEqual(Images * Share, count, 5 * Math.Sqrt(Images * Share * (1 - Share)), $"{move}");
        Assert.IsTrue(moves.Keys.All(move => move is { Down: >= -1 and <= 1, Right: >= -1 and <= 1, Flip: 0 or 1 }));
    }

    [TestMethod]
    public void Inference_passes_its_input_on()
    {
        using var session = new TrainingSession(Plan(Precision.Single, 3, 2, true, 1), new CpuBackend(Precision.Single));
        var batch = Images(3);
        session.EvaluatePass(batch);
        float[] y = new float[batch.Features.Length];
        session.ReadOutput(y);
        CollectionAssert.AreEqual(batch.Features, y);
    }

    [TestMethod]
    public void Exports() => ExportHarness.Run(new CpuBackend(Precision.Mixed), Network.Image(6, 5, 2).Augment(2, flip: true).Conv2d(3, 3).Flatten().Linear(2));

    [TestMethod]
    public void Has_its_defaults() => Defaults.AssertEqual(nameof(Network.Augment), ("shift", 0), ("flip", false));

    [TestMethod]
    public void Says_what_does_not_fit()
    {
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => Network.Image(3, 3, 1).Augment(-1));
        StringAssert.StartsWith(Assert.ThrowsExactly<ArgumentException>(() => Network.Image(3, 3, 1).Augment()).Message, "Augment: expected a shift, a flip or both, got neither.");
        Message("Augment 'a': expected an image [height, width, channels], got a vector 8; start from Network.Image(...), or put Reshape(height, width, channels) before it.", Network.Vector(8));
        Message("Augment 'a': expected an image of more than 2 pixels along both axes, got an image 4x2x1; choose a smaller shift.", Network.Image(4, 2, 1));

        static void Message(string expected, Network input) => Assert.AreEqual(expected, Assert.ThrowsExactly<ArgumentException>(() => input.Augment(2, name: "a")).Message);
    }

    private static IEnumerable<(int Down, int Right, bool Flip)> Moves(int shift, bool flip) =>
        from down in Enumerable.Range(-shift, 2 * shift + 1)
        from right in Enumerable.Range(-shift, 2 * shift + 1)
        from flipped in flip ? (bool[])[false, true] : [false]
        select (down, right, flipped);

    private static float[] Moved(float[] x, int channels, (int Down, int Right, bool Flip) move)
    {
        float[] y = new float[x.Length];
        foreach (var (to, from) in Pairs(channels, move)) y[to] = x[from];
        return y;
    }

    private static float[] MovedBack(float[] dy, int channels, (int Down, int Right, bool Flip) move)
    {
        float[] dx = new float[dy.Length];
        foreach (var (to, from) in Pairs(channels, move)) dx[from] += dy[to];
        return dx;
    }

    /// <summary>Places of the moved image, and of what they show.</summary>
    private static IEnumerable<(int To, int From)> Pairs(int channels, (int Down, int Right, bool Flip) move) =>
        from h in Enumerable.Range(0, Height)
        from w in Enumerable.Range(0, Width)
        let row = h + move.Down
        let column = w + move.Right
        where row is >= 0 and < Height && column is >= 0 and < Width
        from c in Enumerable.Range(0, channels)
        select ((h * Width + w) * channels + c, (row * Width + (move.Flip ? Width - 1 - column : column)) * channels + c);

    private static ExecutionPlan Plan(Precision precision, int channels, int shift, bool flip, uint seed) => PlanBuilder.Build(
        Network.Image(Height, Width, channels, PixelOrder.Interleaved).Augment(shift, flip), new PlanOptions(Batch, precision, new PlantedGradient(), new Sgd()) { KeepAll = true, InputGradient = true, Seed = seed });

    private static TrainingSession Session(BackendRow row, int channels, int shift, bool flip, uint seed = 1) => new(Plan(row.Precision, channels, shift, flip, seed), row.Create());

    private static (float[] Y, float[] InputGradient) Pass(TrainingSession session, Batch batch)
    {
        session.TrainPass(batch);
        return (session.Read(session.Plan.TrainOutputs["Augment1"]), session.Read(session.Plan.InputGradient!));
    }

    /// <summary>Pixels that differ, and halves hold.</summary>
    private static Batch Images(int channels)
    {
        int size = Height * Width * channels;
        var batch = new Batch(Batch, size, size) { RowCount = Batch };
        for (int i = 0; i < batch.Features.Length; i++) (batch.Features[i], batch.Values[i]) = (1 + i % 1000, 2 + i % 900);
        Array.Fill(batch.Weights, 1f);
        return batch;
    }
}
