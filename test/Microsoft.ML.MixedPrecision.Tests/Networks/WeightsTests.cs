namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Networks that start from values, and the files of them.</summary>
[TestClass]
public sealed class WeightsTests
{
    private readonly string _folder = Directory.CreateTempSubdirectory("weights").FullName;

    private static Network Network => Network.Image(4, 4, 2).Conv2d(4, 3).BatchNorm().Relu().Flatten().Linear(5, bias: false);

    private string Path => System.IO.Path.Combine(_folder, "network.safetensors");

    [TestCleanup]
    public void Remove() => Directory.Delete(_folder, recursive: true);

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_session_starts_from_them(BackendRow row)
    {
        var network = Learned.Of(Network);
        using var session = new TrainingSession(PlanBuilder.Build(network, new PlanOptions(2, row.Precision, new PlantedGradient(), new Sgd())), row.Create());
        var trained = TrainedNetwork.From(session);
        foreach (var (node, _) in trained.Layers.Where(layer => layer.Node.Start is not null))
        {
            foreach (var (i, values) in node.Start!.Parameters.Index()) CollectionAssert.AreEqual(values, trained.Parameter(node, i), node.Name);
            foreach (var (i, values) in node.Start.Buffers.Index()) CollectionAssert.AreEqual(values, trained.Buffer(node, i), node.Name);
        }
        foreach (var parameter in session.Plan.Parameters.Parameters)
            CollectionAssert.AreEqual(session.ReadParameter(parameter).Select(v => row.Precision == Precision.Mixed ? (float)(Half)v : v).ToArray(), session.Read(parameter.Weight), parameter.Name);
    }

    /// <summary>Of layers of all kinds: what nobody thought of, too.</summary>
    [TestMethod]
    public void A_file_gives_back_what_was_saved()
    {
        for (int seed = 0; seed < 100; seed++)
        {
            var network = RandomNetwork.Of(seed, 3);
            var learned = Learned.Of(network, seed);
            learned.SaveWeights(Path);
            AssertSame(learned, network.LoadWeights(Path), $"seed {seed}");
        }
        Assert.HasCount(1, Directory.GetFiles(_folder));
    }

    /// <summary>By the words of the format: eight bytes, a header, the numbers, aligned.</summary>
    [TestMethod]
    public void A_file_is_one_of_the_safetensors_format()
    {
        Network.Vector(2).Linear(1).StartingFrom(new StartValues([[1.5f, -2f], [0.25f]], [])).SaveWeights(Path);
        byte[] bytes = File.ReadAllBytes(Path);
        int header = (int)BitConverter.ToInt64(bytes);
        Assert.AreEqual(0, header % 8);
        var json = System.Text.Json.Nodes.JsonNode.Parse(bytes.AsSpan(8, header))!;
        Assert.AreEqual("""{"Linear1.Weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"Linear1.Bias":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}""", json.ToJsonString());
        CollectionAssert.AreEqual(new[] { 1.5f, -2f, 0.25f }, System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(bytes.AsSpan(8 + header)).ToArray());
    }

    [TestMethod]
    public void Halves_and_metadata_of_others_are_read()
    {
        byte[] header = """{"__metadata__":{"format":"pt"},"Linear1.Weight":{"dtype":"F16","shape":[2,1],"data_offsets":[2,6]},"Linear1.Bias":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}"""u8.ToArray();
        using (var writer = new BinaryWriter(File.Create(Path)))
        {
            writer.Write((long)header.Length);
            writer.Write(header);
            foreach (float value in (float[])[3f, 1.5f, -2f]) writer.Write((Half)value);
        }
        var start = Network.Vector(2).Linear(1).LoadWeights(Path).Node.Start!;
        CollectionAssert.AreEqual(new[] { 1.5f, -2f }, start.Parameters[0]);
        CollectionAssert.AreEqual(new[] { 3f }, start.Parameters[1]);
    }

    [TestMethod]
    public void Layers_that_a_file_lacks_keep_what_they_have_where_that_is_asked_for()
    {
        var learned = Learned.Of(Network);
        learned.SaveWeights(Path);
        var other = Network.Image(4, 4, 2).Conv2d(4, 3).BatchNorm().Relu().Flatten().Linear(7, name: "head");
        var loaded = other.LoadWeights(Path, strict: false);
        AssertSame(learned.UpTo("Flatten1"), loaded.UpTo("Flatten1"), "");
        Assert.IsNull(loaded.Node.Start);
        Assert.AreSame(learned.UpTo("BatchNorm1").Node.Start, learned.Linear(2).UpTo("BatchNorm1").Node.Start);

        var e = Assert.ThrowsExactly<ArgumentException>(() => other.LoadWeights(Path));
        Assert.StartsWith($"LoadWeights: expected 'head.Weight' in {Path}, got 'Linear1.Weight'; load the file that was written from this network, or with strict: false", e.Message);
        e = Assert.ThrowsExactly<ArgumentException>(() => Network.UpTo("Relu1").LoadWeights(Path));
        Assert.StartsWith($"LoadWeights: expected the values of this network's layers alone in {Path}, got 'Linear1.Weight' too;", e.Message);
        e = Assert.ThrowsExactly<ArgumentException>(() => Network.Image(4, 4, 2).Conv2d(5, 3).LoadWeights(Path, strict: false));
        Assert.StartsWith($"LoadWeights: 'Conv2d1.Weight': expected [1x3x3x2x5], got [1x3x3x2x4] in {Path};", e.Message);
        e = Assert.ThrowsExactly<ArgumentException>(() => Network.Image(4, 4, 2).Conv2d(4, 3).Flatten().Linear(5).LoadWeights(Path, strict: false));
        Assert.StartsWith("LoadWeights: expected 'Linear1.Bias' in ", e.Message, "A layer comes whole.");
    }

    [TestMethod]
    [DataRow("")]
    [DataRow("short")]
    [DataRow("not a file of tensors at all")]
    [DataRow("\u0020\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1]} }")]
    [DataRow("\u0040\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}            ")]
    [DataRow("\u0040\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}            12345678")]
    public void Files_that_are_none_are_said_to_be_none(string text)
    {
        File.WriteAllText(Path, text);
        var e = Assert.ThrowsExactly<InvalidDataException>(() => Network.LoadWeights(Path));
        Assert.StartsWith($"LoadWeights: expected a file that SaveWeights wrote, got {Path} (", e.Message);
    }

    [TestMethod]
    public void What_was_not_trained_has_nothing_to_save()
    {
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Network.SaveWeights(Path));
        Assert.AreEqual("SaveWeights: expected a network that was trained, got Conv2d 'Conv2d1' without weights; take MixedPrecisionTransformer.Network.", e.Message);
        Assert.IsFalse(File.Exists(Path));
        Assert.ThrowsExactly<IOException>(() => Learned.Of(Network).SaveWeights(System.IO.Path.Combine(_folder, "none", "x")));
        Assert.ThrowsExactly<FileNotFoundException>(() => Network.LoadWeights(Path));
    }

    [TestMethod]
    public void A_network_is_cut_behind_a_layer()
    {
        var network = Learned.Of(Network);
        CollectionAssert.AreEqual(new[] { "Input", "Conv2d1", "BatchNorm1", "Relu1", "Flatten1", "Linear1" }, network.LayerNames.ToArray());
        var cut = network.UpTo("Relu1");
        Assert.AreEqual(Shape.Image(2, 2, 4), cut.Shape);
        AssertSame(network.UpTo("Relu1"), cut, "");
        Assert.AreEqual(7, cut.Flatten().Linear(7).Shape.Size);
        var e = Assert.ThrowsExactly<ArgumentException>(() => network.UpTo("Relu2"));
        Assert.StartsWith("UpTo: expected the name of a layer, one of Input, Conv2d1, BatchNorm1, Relu1, Flatten1, Linear1; got Relu2.", e.Message);

        var twice = Network.Vector(2);
        var branches = twice.Linear(2, name: "a") + twice.Linear(2, name: "a");
        CollectionAssert.AreEqual(new[] { "Input", "a", "a_2", "Add1" }, branches.LayerNames.ToArray());
        Assert.AreNotSame(branches.UpTo("a").Node, branches.UpTo("a_2").Node);
    }

    [TestMethod]
    public void Has_its_defaults() => Defaults.AssertEqual(nameof(Network.LoadWeights), ("strict", true));

    private static void AssertSame(Network expected, Network got, string what)
    {
        foreach (var (a, b) in expected.Node.Sorted().Zip(got.Node.Sorted()))
        {
            Assert.AreEqual(a.Start is null, b.Start is null, $"{what} {a.Name}");
            foreach (var (x, y) in a.Start?.Parameters.Concat(a.Start.Buffers).Zip(b.Start!.Parameters.Concat(b.Start.Buffers)) ?? []) CollectionAssert.AreEqual(x, y, $"{what} {a.Name}");
        }
    }
}
