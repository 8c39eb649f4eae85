using Microsoft.ML.Data;
using Microsoft.ML.MixedPrecision.OnnxProto;

namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class OnnxGraphTests
{
    private static readonly float[] Weights = LinearModel.Exact(4 * 3, 1), Bias = LinearModel.Exact(3, 2), Rows = LinearModel.Exact(5 * 4, 3);

    [TestMethod]
    [DataRow(OnnxPrecision.Half)]
    [DataRow(OnnxPrecision.Single)]
    public void LinearGraphScoresWhatItSays(OnnxPrecision precision)
    {
        using var session = OnnxSession.Of(LinearModel.Build(precision, Weights, Bias));
        Assert.AreEqual(4, session.Features);
        Assert.AreEqual(3, session.Columns);

        var output = new float[5 * 3];
        session.Run(Rows, 5, output);
        OnnxCheck.Compare(new OnnxComparison("output", LinearModel.Expected(Rows, Weights, Bias), output, 3, Tolerance.OfSum(precision, terms: 5)));
    }

    [TestMethod]
    public void HalfWeightsAreHalvesInConstantsAndNeverInitializers()
    {
        ModelProto proto = ModelProto.Parser.ParseFrom(LinearModel.Build(OnnxPrecision.Half, Weights, Bias).ToBytes());
        Assert.IsEmpty(proto.Graph.Initializer);
        TensorProto[] constants = [.. proto.Graph.Node.Where(node => node.OpType == "Constant").Select(node => node.Attribute[0].T)];
        Assert.HasCount(2, constants);
        Assert.IsTrue(constants.All(tensor => tensor.DataType == (int)TensorProto.Types.DataType.Float16));
        Assert.AreEqual(2 * Weights.Length, constants[0].RawData.Length);
        Assert.AreEqual((int)TensorProto.Types.DataType.Float, proto.Graph.Input[0].Type.TensorType.ElemType);
        Assert.AreEqual((int)TensorProto.Types.DataType.Float, proto.Graph.Output[0].Type.TensorType.ElemType);
        Assert.AreEqual("N", proto.Graph.Input[0].Type.TensorType.Shape.Dim[0].DimParam);
    }

    [TestMethod]
    public void EqualGraphsGiveEqualBytes()
    {
        var metadata = new OnnxMetadata { LabelNames = ["a", "b", "c"], Description = "three", Properties = [("epochs", "5")] };
        CollectionAssert.AreEqual(
            LinearModel.Build(OnnxPrecision.Half, Weights, Bias, metadata).ToBytes(),
            LinearModel.Build(OnnxPrecision.Half, Weights, Bias, metadata).ToBytes());
        OnnxGraph graph = LinearModel.Graph(OnnxPrecision.Half, Weights, Bias, out string output);
        graph.Expose("linear", output, Shape.Vector(3));
        byte[] first = graph.Build(output, 3, metadata).ToBytes();
        _ = graph.BuildForCheck(output, 3, metadata);
        CollectionAssert.AreEqual(first, graph.Build(output, 3, metadata).ToBytes());
    }

    [TestMethod]
    public void MetadataSurvivesTheFile()
    {
        OnnxModel model = LinearModel.Build(OnnxPrecision.Half, Weights, Bias,
            new OnnxMetadata { ProducerVersion = "1.2.3", ModelVersion = 7, Description = "doc", LabelNames = ["x", "y", "z, \"q\""], Properties = [("seed", "9")] });
        OnnxModel read = OnnxModel.Read(model.ToBytes());
        Assert.AreEqual("x|y|z, \"q\"", string.Join('|', read.LabelNames));
        Assert.AreEqual("Half", read.Property("precision"));
        Assert.AreEqual("9", read.Property("seed"));
        Assert.IsNull(read.Property("absent"));
        ModelProto proto = ModelProto.Parser.ParseFrom(model.ToBytes());
        Assert.AreEqual(("Microsoft.ML.MixedPrecision", "1.2.3", 7L, "doc"), (proto.ProducerName, proto.ProducerVersion, proto.ModelVersion, proto.DocString));
        using var session = OnnxSession.Of(model); // the label node must not disturb the runtime
        Assert.AreEqual(3, session.Columns);
    }

    [TestMethod]
    public void LabelNamesMustFitTheOutput()
    {
        OnnxGraph graph = LinearModel.Graph(OnnxPrecision.Half, Weights, Bias, out string output);
        var e = Assert.ThrowsExactly<ArgumentException>(() => graph.Build(output, 3, new OnnxMetadata { LabelNames = ["only"] }));
        StringAssert.Contains(e.Message, "3 output columns, got 1");
    }

    [TestMethod]
    [DataRow(float.NaN)]
    [DataRow(float.PositiveInfinity)]
    [DataRow(1e6f)]
    public void AWeightThatAHalfCannotHoldIsRefused(float weight)
    {
        var graph = new OnnxGraph(OnnxPrecision.Half, 2);
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => graph.Weights("conv1.weight", [1, weight], 2));
        StringAssert.Contains(e.Message, "'conv1.weight', element 1");
        if (float.IsFinite(weight)) _ = new OnnxGraph(OnnxPrecision.Single, 2).Weights("conv1.weight", [1, weight], 2);
    }

    [TestMethod]
    public void NamesStayReadableAndUnique()
    {
        var graph = new OnnxGraph(OnnxPrecision.Single, 2);
        Assert.AreEqual("relu", graph.Node("Relu", "relu", [graph.Input]));
        Assert.AreEqual("relu_2", graph.Node("Relu", "relu", ["relu"]));
        Assert.AreEqual("output_2", graph.Node("Relu", "output", ["relu_2"]));
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => graph.Node("Relu", "late", ["nothing"]));
        StringAssert.Contains(e.Message, "'nothing'");
        Assert.ThrowsExactly<ArgumentException>(() => graph.Weights("w", [1, 2, 3], 2, 2));
    }

    [TestMethod]
    [DataRow(OnnxPrecision.Half)]
    [DataRow(OnnxPrecision.Single)]
    public void ImagesAreChannelsFirstInsideAndLastAtTheEdges(OnnxPrecision precision)
    {
        const int Height = 2, Width = 3, Channels = 2, Length = Height * Width * Channels;
        var graph = new OnnxGraph(precision, Length);
        string image = graph.ToImage(graph.Input, "image", Height, Width, Channels);
        string scaled = graph.Node("Mul", "scaled", [image, graph.Weights("scale", [1, 10], 1, Channels, 1, 1)]);
        graph.Expose("scaled", scaled, Shape.Image(Height, Width, Channels));
        string flat = graph.FlattenImage(scaled, "flat", Height, Width, Channels);
        using var session = OnnxSession.Of(graph.BuildForCheck(flat, Length, new OnnxMetadata()));

        float[] rows = [.. Enumerable.Range(0, 2 * Length).Select(i => (float)i)];
        float[] expected = [.. rows.Select((value, i) => i % Channels == 1 ? 10 * value : value)];
        IReadOnlyList<float[]> outputs = session.RunAll(rows, 2);
        Assert.AreEqual("scaled", session.Layers.Single());
        CollectionAssert.AreEqual(expected, outputs[0]);
        CollectionAssert.AreEqual(expected, outputs[1]);
    }

    [TestMethod]
    public void AttributesOfEveryKindReachTheRuntime()
    {
        var graph = new OnnxGraph(OnnxPrecision.Single, 4);
        string image = graph.ToImage(graph.Input, "image", 2, 2, 1);
        string padded = graph.Node("Conv", "conv", [image, graph.Weights("w", [2], 1, 1, 1, 1)],
            ("auto_pad", "NOTSET"), ("group", 1), ("kernel_shape", new[] { 1, 1 }), ("pads", new long[] { 0, 0, 0, 0 }));
        string leaky = graph.Node("LeakyRelu", "leaky", [padded], ("alpha", 0f)); // zero is written, the default is 0.01
        string[] halves = graph.Nodes("Split", "split", [graph.FlattenImage(leaky, "flat", 2, 2, 1), graph.Integers("sizes", 1, 3)], 2, ("axis", 1));
        using var session = OnnxSession.Of(graph.Build(halves[1], 3, new OnnxMetadata()));
        var output = new float[3];
        session.Run(new float[] { 5, 1, -1, 3 }, 1, output);
        CollectionAssert.AreEqual(new float[] { 2, 0, 6 }, output);
    }

    [TestMethod]
    [DataRow(OnnxPrecision.Half)]
    [DataRow(OnnxPrecision.Single)]
    public void TheFileLoadsThroughApplyOnnxModel(OnnxPrecision precision)
    {
        OnnxModel model = LinearModel.Build(precision, Weights, Bias, new OnnxMetadata { LabelNames = ["red", "green", "blue"] });
        string path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.onnx");
        try
        {
            OnnxFile.Save(model, path);
            var ml = new MLContext(seed: 1);
            IDataView data = ml.Data.LoadFromEnumerable(Enumerable.Range(0, 5).Select(r => new Row { Features = Rows[(4 * r)..(4 * r + 4)] }));
            using var transformer = ml.Transforms.ApplyOnnxModel("output", "features", path).Fit(data);
            IDataView scored = transformer.Transform(data);

            VBuffer<ReadOnlyMemory<char>> names = default;
            scored.Schema["output"].GetSlotNames(ref names);
            Assert.AreEqual("red|green|blue", string.Join('|', names.DenseValues()));
            float[] actual = [.. scored.GetColumn<float[]>("output").SelectMany(row => row)];
            OnnxCheck.Compare(new OnnxComparison("output", LinearModel.Expected(Rows, Weights, Bias), actual, 3, Tolerance.OfSum(precision, terms: 5)));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [TestMethod]
    public void RenamingKeepsTheMeaningAlsoWhereNamesClash()
    {
        var graph = new OnnxGraph(OnnxPrecision.Single, 2);
        string inner = graph.Node("Relu", "Score", [graph.Input]); // inner values that have the new names
        inner = graph.Node("Neg", "Pixels", [inner]);
        OnnxModel renamed = graph.Build(inner, 2, new OnnxMetadata { LabelNames = ["a", "b"] }).Rename(["Pixels"], "Score");
        Assert.AreEqual(("Pixels", "Score"), (renamed.InputNames.Single(), renamed.OutputName));
        using var session = OnnxSession.Of(renamed);
        var output = new float[2];
        session.Run(new float[] { 3, -4 }, 1, output);
        CollectionAssert.AreEqual(new float[] { -3, 0 }, output);
        Assert.ThrowsExactly<ArgumentException>(() => renamed.Rename(["Same"], "Same"));
        Assert.ThrowsExactly<ArgumentException>(() => renamed.Rename(["a"], "b.output"));
    }

    private sealed class Row
    {
        [ColumnName("features"), VectorType(4)]
        public float[] Features { get; set; } = [];
    }
}
