using Google.Protobuf;
using Microsoft.ML.Data;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Models of others, and our own, as networks: they compute what ONNX Runtime computes of the file.</summary>
[TestClass]
public sealed class ImportTests
{
    private const int Rows = 3;

    private readonly string _folder = Directory.CreateTempSubdirectory("import").FullName;

    private string Path => System.IO.Path.Combine(_folder, "model.onnx");

    [TestCleanup]
    public void Remove() => Directory.Delete(_folder, recursive: true);

    /// <summary>Networks that nobody thought of, in both orders of an image's pixels.</summary>
    [TestMethod]
    public void Own_exports_come_back()
    {
        int imported = 0;
        for (int seed = 0; seed < 400; seed++)
        {
            var network = RandomNetwork.Of(seed, 3);
            if (network.InputFormat.HasTokens || network.Node.Sorted().Any(node => node.Op is SelfAttention or Lstm)) continue;
            using var session = ExportHarness.NewSession(new CpuBackend(Precision.Single), network, Rows, 1, (uint)seed, out var sample);
            Export(session, network, OnnxPrecision.Single);
            session.EvaluatePass(sample);
            AssertClose(session.Read(session.Plan.Output), Scores(network.UpTo("Input").ImportOnnx(Path), sample.Features), $"seed {seed}");
            imported++;
        }
        Assert.IsGreaterThan(150, imported);
    }

    [TestMethod]
    public void The_halves_of_an_export_come_back_as_they_are()
    {
        var network = Network.Image(5, 4, 2).Conv2d(6, 3, padding: 1).BatchNorm().Gelu().Flatten().LayerNorm().Linear(3);
        using var session = ExportHarness.NewSession(new CpuBackend(Precision.Mixed), network, Rows, 1, 3, out _);
        Export(session, network, OnnxPrecision.Half);
        var back = network.UpTo("Input").ImportOnnx(Path).Node.Sorted().Where(node => node.Start is not null).SelectMany(node => node.Start!.Parameters).ToArray();
        float[][] expected = [.. session.Plan.Parameters.Parameters.Select(p => session.ReadParameter(p).Select(v => (float)(Half)v).ToArray())];
        Assert.HasCount(expected.Length, back);
        foreach (var (i, values) in back.Index()) CollectionAssert.AreEqual(expected[i], values, $"{i}");
    }

    /// <summary>See Pytorch/export.py.</summary>
    [TestMethod]
    [DataRow("residual", new[] { 3, 32, 32 })]
    [DataRow("residual-unfolded", new[] { 3, 32, 32 })]
    [DataRow("parts", new[] { 2, 8, 8 })]
    [DataRow("mobile", new[] { 3, 16, 16 })]
    [DataRow("viewed", new[] { 2, 6, 6 })]
    [DataRow("perceptron", new[] { 6 })]
    public void Models_of_PyTorch_score_as_in_ONNX_Runtime(string name, int[] input) => AssertAsInRuntime(Pytorch(name), input);

    [TestMethod]
    public void Images_may_be_larger_than_those_of_the_export()
    {
        foreach (string name in (string[])["residual", "residual-unfolded"])
        {
            var model = OnnxProto.ModelProto.Parser.ParseFrom(File.ReadAllBytes(Pytorch(name)));
            foreach (var size in model.Graph.Input[0].Type.TensorType.Shape.Dim.Skip(2)) size.DimParam = "any"; // else ONNX Runtime takes no other
            File.WriteAllBytes(Path, model.ToByteArray());
            float[] x = Numbers(3 * 48 * 40);
            AssertClose(OfRuntime(Path, x, [1, 3, 48, 40]), Scores(Network.Image(48, 40, 3).ImportOnnx(Pytorch(name)), x), name);
        }
    }

    /// <summary>What files of some years ago have: weights among the inputs and in lists, attributes that are inputs today, less padding at the end than at the beginning.</summary>
    [TestMethod]
    public void Old_operators_are_read()
    {
        new ForeignGraph(8, "x", 3, 8, 8)
            .Weights("w1", [4, 3, 3, 3], write: ForeignGraph.Listed).Node("Conv", "conv", ["x", "w1"], ("kernel_shape", new[] { 3, 3 }), ("strides", new[] { 2, 2 }), ("pads", new[] { 1, 1, 0, 0 }), ("auto_pad", "NOTSET"))
            .Weights("w2", [4]).Weights("w3", [4]).Weights("w4", [4]).Weights("w5", [4], 0.5f).Node("BatchNormalization", "norm", ["conv", "w2", "w3", "w4", "w5"], ("spatial", 1), ("momentum", 0.99f))
            .Node("Dropout", "dropped", ["norm"], ("ratio", 0.3f))
            .Node("MaxPool", "pool", ["dropped"], ("kernel_shape", new[] { 2, 2 }), ("strides", new[] { 2, 2 }))
            .Node("AveragePool", "mean", ["pool"], ("kernel_shape", new[] { 2, 2 }))
            .Node("Squeeze", "flat", ["mean"], ("axes", new[] { 2, 3 }))
            .Weights("w6", [4, 5]).Weights("w7", [5]).Node("Gemm", "scores", ["flat", "w6", "w7"], ("alpha", 0.5f), ("beta", 2f))
            .Node("Softmax", "y", ["scores"])
            .Save(Path, "y");
        AssertAsInRuntime(Path, [3, 8, 8]);
        var network = Network.Image(8, 8, 3).ImportOnnx(Path);
        CollectionAssert.IsSubsetOf(new[] { "node conv", "node norm", "node dropped", "node pool", "node mean", "node scores", "node y" }, network.LayerNames.ToArray());
        Assert.AreEqual(new BatchNorm(1e-5f, 1f - 0.99f).Described(), network.UpTo("node norm").Node.Op!.Described());
        Assert.AreEqual(Network.Vector(1).Dropout(0.3f).Node.Op!.Described(), network.UpTo("node dropped").Node.Op!.Described());
    }

    [TestMethod]
    public void Biases_that_are_added_and_values_that_are_only_moved_cost_no_layer()
    {
        new ForeignGraph(13, "x", 2, 6, 5)
            .Weights("w1", [8, 2, 3, 3]).Node("Conv", "conv", ["x", "w1"], ("auto_pad", "SAME_UPPER"))
            .Weights("b1", [8, 1, 1]).Node("Add", "conv.b", ["conv", "b1"])
            .Node("GlobalAveragePool", "mean", ["conv.b"])
            .Integers("axes", 2, 3).Node("Squeeze", "vector", ["mean", "axes"])
            .Node("Unsqueeze", "image", ["vector", "axes"])
            .Weights("w2", [6, 8, 1, 1]).Node("Conv", "pixel", ["image", "w2"], ("kernel_shape", new[] { 1, 1 }))
            .Integers("shape", 0, -1).Node("Reshape", "flat", ["pixel", "shape"])
            .Node("Identity", "same", ["flat"])
            .Weights("w3", [6, 4]).Node("MatMul", "product", ["same", "w3"])
            .Weights("b3", [1, 4]).Node("Add", "y", ["b3", "product"])
            .Save(Path, "y");
        AssertAsInRuntime(Path, [2, 6, 5]);
        var network = Network.Image(6, 5, 2).ImportOnnx(Path);
        Assert.AreEqual(2, network.UpTo("node conv").Node.Start!.Parameters.Count);
        Assert.AreEqual(1, Network.Image(6, 5, 2).ImportOnnx(Path, "conv").Node.Start!.Parameters.Count, "Cut before its bias.");
        CollectionAssert.AreEqual(new[] { "node conv", "node mean", "node pixel", "node product" }, network.LayerNames.Where(name => name.StartsWith("node", StringComparison.Ordinal)).ToArray());
    }

    /// <summary>As PyTorch wrote a mean that counts its padding, until version 2.</summary>
    [TestMethod]
    public void Padding_of_its_own_goes_into_the_pool()
    {
        new ForeignGraph(13, "x", 2, 6, 6)
            .Integers("none", 0, 0, 0, 0, 0, 0, 0, 0).Node("Pad", "same", ["x", "none"])
            .Integers("around", 0, 0, 1, 1, 0, 0, 1, 1).Node("Pad", "padded", ["same", "around"]).Node("AveragePool", "mean", ["padded"], ("kernel_shape", new[] { 3, 3 }), ("strides", new[] { 2, 2 }))
            .Node("Relu", "y", ["mean"])
            .Save(Path, "y");
        AssertAsInRuntime(Path, [2, 6, 6]);
        CollectionAssert.AreEqual(new[] { "Input", "node mean", "node y" }, Network.Image(6, 6, 2).ImportOnnx(Path).LayerNames.ToArray());
    }

    /// <summary>TensorFlow's order, turned at the beginning and back before the last layer.</summary>
    [TestMethod]
    public void Images_may_come_channels_last()
    {
        new ForeignGraph(13, "x", 6, 5, 2)
            .Node("Transpose", "first", ["x"], ("perm", new[] { 0, 3, 1, 2 }))
            .Weights("w1", [4, 2, 3, 3]).Node("Conv", "conv", ["first", "w1"])
            .Node("Transpose", "last", ["conv"], ("perm", new[] { 0, 2, 3, 1 }))
            .Integers("shape", -1, 48).Node("Reshape", "flat", ["last", "shape"])
            .Weights("w2", [48, 3]).Node("MatMul", "y", ["flat", "w2"])
            .Save(Path, "y");
        float[] x = Numbers(Rows * 60);
        AssertClose(OfRuntime(Path, x, [Rows, 6, 5, 2]), Scores(Network.Image(6, 5, 2, PixelOrder.Interleaved).ImportOnnx(Path), x), "channels last");
    }

    [TestMethod]
    [DataRow("SAME_UPPER", 3, 1, true)]
    [DataRow("SAME_LOWER", 5, 1, true)]
    [DataRow("VALID", 3, 2, true)]
    [DataRow("SAME_UPPER", 3, 2, false)]
    [DataRow("SAME_LOWER", 2, 1, false)]
    [DataRow("SAME_UPPER", 2, 1, false)]
    public void Padding_is_taken_where_it_is_alike_on_both_sides_or_is_not_reached(string padding, int kernel, int stride, bool fits)
    {
        new ForeignGraph(13, "x", 2, 8, 8).Weights("w", [4, 2, kernel, kernel]).Node("Conv", "y", ["x", "w"], ("auto_pad", padding), ("strides", new[] { stride, stride })).Save(Path, "y");
        if (fits) AssertAsInRuntime(Path, [2, 8, 8]);
        else Assert.Contains("expected as much padding at the end as at the beginning, or an end that no window reaches, and no window beyond it (ceil_mode), got pads [", Assert.ThrowsExactly<NotSupportedException>(() => Network.Image(8, 8, 2).ImportOnnx(Path)).Message);
    }

    [TestMethod]
    public void A_model_ends_where_it_is_cut_and_what_lies_behind_may_be_anything()
    {
        ForeignGraph Graph() => new ForeignGraph(13, "x", 2, 4, 4)
            .Weights("w", [3, 2, 3, 3]).Node("Conv", "conv", ["x", "w"])
            .Node("Relu", "relu", ["conv"])
            .Node("LRN", "lrn", ["relu"], ("size", 3));
        Graph().Save(Path, "lrn");
        var input = Network.Image(4, 4, 2);
        var e = Assert.ThrowsExactly<NotSupportedException>(() => input.ImportOnnx(Path));
        Assert.StartsWith("ImportOnnx: node 'node lrn' (LRN) of model.onnx: expected one of Add, AveragePool, ", e.Message);
        Assert.EndsWith("; got LRN. Cut the model before it: output: \"relu\".", e.Message);
        foreach (string end in (string[])["relu", "node relu"]) Assert.AreEqual(Shape.Image(2, 2, 3), input.ImportOnnx(Path, end).Shape);
        Assert.AreEqual("node conv", input.ImportOnnx(Path, "conv").LayerNames[^1]);
        var none = Assert.ThrowsExactly<ArgumentException>(() => input.ImportOnnx(Path, "pool"));
        Assert.StartsWith("ImportOnnx: model.onnx: expected an output that is a node or a value of the graph, got pool; its last ones are node conv, node relu, node lrn.", none.Message);
    }

    [TestMethod]
    public void A_model_says_what_it_takes()
    {
        new ForeignGraph(13, "x", 2, 4, 4).Node("Relu", "y", ["x"]).Save(Path, "y");
        var e = Assert.ThrowsExactly<ArgumentException>(() => Network.Image(4, 4, 3).ImportOnnx(Path));
        Assert.AreEqual("ImportOnnx: model.onnx: expected a network that ends in what the model takes, 'x' [N, 2, 4, 4], got an image 4x4x3; start from Network.Image(height, width, channels) or Network.Vector(size).", e.Message);
        Assert.ThrowsExactly<ArgumentException>(() => Network.Vector(32).ImportOnnx(Path));

        new ForeignGraph(13, "x", 6).Node("Relu", "y", ["x"]).Save(Path, "y");
        Assert.Contains("ends in what the model takes, 'x' [N, 6], got a vector 5;", Assert.ThrowsExactly<ArgumentException>(() => Network.Vector(5).ImportOnnx(Path)).Message);

        new ForeignGraph(13, "x", 6).AddInput("z", 6).Node("Add", "y", ["x", "z"]).Save(Path, "y");
        Assert.AreEqual("ImportOnnx: model.onnx: expected one input, got x, z.", Assert.ThrowsExactly<NotSupportedException>(() => Network.Vector(6).ImportOnnx(Path)).Message);
    }

    [TestMethod]
    public void What_a_layer_here_cannot_be_is_said_with_its_node()
    {
        Network image = Network.Image(3, 3, 4), vector = Network.Vector(4);
        foreach (var (input, expected, graph) in ((Network, string, ForeignGraph)[])
            [
                (image, "node 'node y' (Add) of model.onnx: expected two values of one shape, got [N, 4, 1, 1] and [N, 4, 3, 3]", new ForeignGraph(13, "x", 4, 3, 3).Node("GlobalAveragePool", "mean", ["x"]).Node("Add", "y", ["mean", "x"])),
                (image, "node 'node y' (Add) of model.onnx: expected a bias behind a Conv or a MatMul, or an embedding of the positions of a sequence, got a constant for [N, 4, 3, 3]", new ForeignGraph(13, "x", 4, 3, 3).Weights("w", [4, 1, 1]).Node("Add", "y", ["x", "w"])),
                (image, "node 'node y' (Conv) of model.onnx: expected filters in two dimensions, got [4x4x3]", new ForeignGraph(13, "x", 4, 3, 3).Weights("w", [4, 4, 3]).Node("Conv", "y", ["x", "w"])),
                (image, "node 'node y' (Conv) of model.onnx: expected 8 channels, got 4", new ForeignGraph(13, "x", 4, 3, 3).Weights("w", [4, 8, 1, 1]).Node("Conv", "y", ["x", "w"])),
                (image, "node 'node y' (MaxPool) of model.onnx: expected as much padding at the end as at the beginning, or an end that no window reaches, and no window beyond it (ceil_mode), got pads [0, 0, 0, 0] of an image 3x3", new ForeignGraph(13, "x", 4, 3, 3).Node("MaxPool", "y", ["x"], ("kernel_shape", new[] { 2, 2 }), ("strides", new[] { 2, 2 }), ("ceil_mode", 1))),
                (image, "node 'node y' (Pad) of model.onnx: expected no padding, or zeros around an image before an AveragePool, got pads [0, 0, 1, 1, 0, 0, 1, 1]", new ForeignGraph(13, "x", 4, 3, 3).Integers("p", 0, 0, 1, 1, 0, 0, 1, 1).Node("Pad", "y", ["x", "p"])),
                (image, "node 'node p' (Pad) of model.onnx: expected no padding, or zeros around an image before an AveragePool, got pads [0, 0, 1, 1, 0, 0, 1, 1]", new ForeignGraph(13, "x", 4, 3, 3).Integers("n", 0, 0, 1, 1, 0, 0, 1, 1).Node("Pad", "p", ["x", "n"]).Node("AveragePool", "y", ["p"], ("kernel_shape", new[] { 2, 2 }), ("ceil_mode", 1))),
                (image, "node 'node y' (Clip) of model.onnx: expected a range from 0 to 6, or from 0 on, got -1 to 6", new ForeignGraph(6, "x", 4, 3, 3).Node("Clip", "y", ["x"], ("min", -1f), ("max", 6f))),
                (image, "node 'node y' (HardSigmoid) of model.onnx: expected alpha = 1/6 and beta = 0.5, got 0.2 and 0.5", new ForeignGraph(6, "x", 4, 3, 3).Node("HardSigmoid", "y", ["x"])),
                (image, "node 'node y' (MaxPool) of model.onnx: expected a dilation of 1, got 2", new ForeignGraph(13, "x", 4, 3, 3).Node("MaxPool", "y", ["x"], ("kernel_shape", new[] { 2, 2 }), ("dilations", new[] { 2, 2 }))),
                (image, "node 'node y' (ReduceMean) of model.onnx: expected the mean over height and width, got axes 1", new ForeignGraph(13, "x", 4, 3, 3).Node("ReduceMean", "y", ["x"], ("axes", new[] { 1 }))),
                (image, "node 'node y' (Softmax) of model.onnx: expected the channels of an image, or the last axis, got axis -1 of [N, 4, 3, 3]", new ForeignGraph(13, "x", 4, 3, 3).Node("Softmax", "y", ["x"])),
                (image, "node 'node y' (Concat) of model.onnx: expected the channels of images, or the last axis, got axis 2 of [N, 4, 3, 3] and [N, 4, 3, 3]", new ForeignGraph(13, "x", 4, 3, 3).Node("Concat", "y", ["x", "x"], ("axis", 2))),
                (vector, "node 'node y' (Gemm) of model.onnx: expected transA = 0, got 1", new ForeignGraph(13, "x", 4).Weights("w", [4, 2]).Node("Gemm", "y", ["x", "w"], ("transA", 1))),
                (vector, "node 'node y' (Gemm) of model.onnx: expected vectors of 5 elements, got [N, 4]", new ForeignGraph(13, "x", 4).Weights("w", [5, 2]).Node("Gemm", "y", ["x", "w"])),
                (vector, "node 'node y' (Gemm) of model.onnx: expected input 2 to have 2 numbers, got [3]", new ForeignGraph(13, "x", 4).Weights("w", [4, 2]).Weights("b", [3]).Node("Gemm", "y", ["x", "w", "b"])),
                (vector, "node 'node y' (MatMul) of model.onnx: expected input 1 to be a constant, got 'x', which is computed", new ForeignGraph(13, "x", 4).Node("MatMul", "y", ["x", "x"])),
                (image, "node 'node y' (Reshape) of model.onnx: expected the same elements in the same order, as a vector or as an image, got [N, 3, 4, 3] of [N, 4, 3, 3]", new ForeignGraph(13, "x", 4, 3, 3).Integers("s", 0, 3, 4, 3).Node("Reshape", "y", ["x", "s"])),
                (image, "node 'node y' (Reshape) of model.onnx: expected a shape that keeps the batch, got [4, -1]", new ForeignGraph(13, "x", 4, 3, 3).Integers("s", 4, -1).Node("Reshape", "y", ["x", "s"])),
                (vector, "node 'node y' (Transpose) of model.onnx: expected an order of the axes that keeps the batch first, got [1, 0] of [N, 4]", new ForeignGraph(13, "x", 4).Node("Transpose", "y", ["x"], ("perm", new[] { 1, 0 }))),
                (vector, "node 'node y' (Gelu) of model.onnx: expected approximate = none, got tanh", new ForeignGraph(20, "x", 4).Node("Gelu", "y", ["x"], ("approximate", "tanh"))),
                (vector, "node 'node z' (Relu) of model.onnx: expected input 0 to depend on the model's input, got the constant 'w'", new ForeignGraph(13, "x", 4).Weights("w", [4]).Node("Relu", "z", ["w"]).Node("Add", "y", ["x", "z"])),
                (vector, "constant 'w': expected FP32 or FP16 numbers, got numbers of ONNX type 12; export the model as one file in FP32 or FP16", new ForeignGraph(13, "x", 4).Weights("w", [4, 2], write: (t, _) => t.DataType = 12).Node("MatMul", "y", ["x", "w"])),
                (vector, "constant 'w': expected its numbers within the file, got a file beside it; export", new ForeignGraph(13, "x", 4).Weights("w", [4, 2], write: (t, _) => t.DataLocation = OnnxProto.TensorProto.Types.DataLocation.External).Node("MatMul", "y", ["x", "w"])),
            ])
        {
            graph.Save(Path, "y");
            Assert.StartsWith($"ImportOnnx: {expected}", Assert.ThrowsExactly<NotSupportedException>(() => input.ImportOnnx(Path)).Message);
        }
    }

    [TestMethod]
    public void Files_that_are_no_models_are_said_to_be_none()
    {
        foreach (byte[] bytes in (byte[][])[[], [1, 2, 3, 4, 5], File.ReadAllBytes(Pytorch("perceptron"))[..900]])
        {
            File.WriteAllBytes(Path, bytes);
            Assert.AreEqual("ImportOnnx: model.onnx: expected an ONNX model, got another file, or a part of one.", Assert.ThrowsExactly<InvalidDataException>(() => Network.Vector(6).ImportOnnx(Path)).Message);
        }
        Assert.ThrowsExactly<FileNotFoundException>(() => Network.Vector(6).ImportOnnx(System.IO.Path.Combine(_folder, "none.onnx")));
        new ForeignGraph(13, "x", 4).Weights("w", [4, 2], write: (t, v) => t.FloatData.AddRange(v[..3])).Node("MatMul", "y", ["x", "w"]).Save(Path, "y");
        Assert.AreEqual("ImportOnnx: constant 'w': expected 8 numbers for [4x2], got 3; the file is broken.", Assert.ThrowsExactly<InvalidDataException>(() => Network.Vector(4).ImportOnnx(Path)).Message);
        new ForeignGraph(13, "x", 4).Weights("w", [4, 2], write: (t, v) => ForeignGraph.Raw(t, v[..5])).Node("MatMul", "y", ["x", "w"]).Save(Path, "y");
        Assert.AreEqual("ImportOnnx: constant 'w': expected 8 numbers for [4x2], got 5; the file is broken.", Assert.ThrowsExactly<InvalidDataException>(() => Network.Vector(4).ImportOnnx(Path)).Message);
    }

    [TestMethod]
    public void Has_its_defaults() => Defaults.AssertEqual(nameof(Network.ImportOnnx), ("output", null));

    /// <summary>A body that learned elsewhere, a head for the rows at hand.</summary>
    [TestMethod]
    [DataRow(Precision.Mixed, true)]
    [DataRow(Precision.Mixed, false)]
    [DataRow(Precision.Single, true)]
    public void A_model_is_trained_on(Precision precision, bool freeze)
    {
        var body = Network.Image(8, 8, 3).ImportOnnx(Pytorch("residual-unfolded"), "/Flatten_output_0");
        var random = new Random(4);
        var ml = new MLContext(seed: 1);
        var rows = ml.Data.LoadFromEnumerable(Enumerable.Range(0, 120).Select(i => new ImageRow { Label = i % 2 == 0, Features = [.. Enumerable.Range(0, 192).Select(j => random.NextSingle() + (i % 2 == 0 && j < 64 ? 0.8f : 0f))] }));
        using var model = new MixedPrecisionTrainer(ml, new MixedPrecisionTrainer.Options { Network = freeze ? body.Freeze() : body, Precision = precision, Epochs = 10, Optimizer = new Adam(1e-2f), Seed = 1 }).Fit(rows);
        Assert.IsGreaterThan(0.95, ml.BinaryClassification.Evaluate(model.Transform(rows)).AreaUnderRocCurve);
        float[] before = body.UpTo("/stem/stem.0/Conv").Node.Start!.Parameters[0], after = model.Network.UpTo("/stem/stem.0/Conv").Node.Start!.Parameters[0];
        Assert.AreEqual(freeze, before.AsSpan().SequenceEqual(after));
    }

    private sealed class ImageRow
    {
        [VectorType(192)]
        public float[] Features { get; set; } = [];

        public bool Label { get; set; }
    }

    private static string Pytorch(string name) => System.IO.Path.Combine(Repository.Root, "test", "Microsoft.ML.MixedPrecision.Tests", "Onnx", "Pytorch", name + ".onnx");

    private void Export(TrainingSession session, Network network, OnnxPrecision precision)
    {
        var (graph, output) = OnnxExporter.Export(TrainedNetwork.From(session), precision);
        OnnxFile.Save(graph.Build(output, network.Shape.Size, new OnnxMetadata()), Path);
    }

    private static void AssertAsInRuntime(string path, int[] input)
    {
        float[] x = Numbers(Rows * input.Aggregate((a, b) => a * b));
        var network = input is [var channels, var height, var width] ? Network.Image(height, width, channels) : Network.Vector(input[0]);
        var imported = network.ImportOnnx(path);
        float[] expected = OfRuntime(path, x, [Rows, .. input]);
        if (imported.Shape.IsImage) expected = ChannelsLast(expected, imported.Shape);
        AssertClose(expected, Scores(imported, x), path);
    }

    private static float[] ChannelsLast(float[] planar, Shape shape)
    {
        float[] turned = new float[planar.Length];
        for (int i = 0; i < planar.Length; i++)
        {
            int pixels = shape.Height * shape.Width, row = i / shape.Size, channel = i % shape.Size / pixels, pixel = i % pixels;
            turned[row * shape.Size + pixel * shape.Channels + channel] = planar[i];
        }
        return turned;
    }

    private static void AssertClose(float[] expected, float[] got, string what)
    {
        Assert.HasCount(expected.Length, got, what);
        float scale = Math.Max(1f, expected.Max(Math.Abs));
        for (int i = 0; i < expected.Length; i++) Assert.AreEqual(expected[i], got[i], 1e-4f * scale, $"{what}, element {i}");
    }

    private static float[] Numbers(int count)
    {
        var random = new Random(3);
        return [.. Enumerable.Range(0, count).Select(_ => 4 * random.NextSingle() - 2)];
    }

    private static float[] Scores(Network network, float[] features)
    {
        int rows = features.Length / network.InputShape.Size;
        var plan = PlanBuilder.Build(network, new PlanOptions(rows, Precision.Single, new PlantedGradient(), new Sgd()) { ForwardOnly = true });
        using var session = new TrainingSession(plan, new CpuBackend(Precision.Single));
        var batch = new Batch(rows, network.InputShape.Size, network.Shape.Size) { RowCount = rows };
        features.CopyTo(batch.Features, 0);
        session.EvaluatePass(batch);
        return session.Read(plan.Output);
    }

    private static float[] OfRuntime(string path, float[] features, int[] dimensions)
    {
        using var session = new InferenceSession(path);
        using var results = session.Run([NamedOnnxValue.CreateFromTensor(session.InputNames[0], new DenseTensor<float>(features, dimensions))]);
        return results[0].AsTensor<float>().ToArray();
    }
}
