namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Scores sample rows through ONNX Runtime and compares every layer with the forward pass that training has. A model that
/// differs by more than its format explains is not handed over.
/// </summary>
internal static class ExportCheck
{
    // Of a layer's largest magnitude: a few for products whose terms cancel, and for a layer that magnifies what it is given.
    private const int RoundingsPerLayer = 8;

    /// <param name="trained">What was exported.</param>
    /// <param name="precision">Of the export.</param>
    /// <param name="session">Holds the same values, of a plan that keeps all.</param>
    /// <param name="sample">A batch of the plan; its first rows are compared.</param>
    /// <exception cref="InvalidOperationException">The first layer that differs, its worst value and the bound.</exception>
    public static void Verify(TrainedNetwork trained, OnnxPrecision precision, TrainingSession session, Batch sample)
    {
        ExecutionPlan plan = session.Plan;
        if (!plan.Options.KeepAll) throw new ArgumentException("Expected a plan with KeepAll: the layers' outputs are read after the pass.", nameof(session));

        session.EvaluatePass(sample);
        (OnnxGraph graph, string output) = OnnxExporter.Export(trained, precision, expose: true);
        int columns = trained.Network.Shape.Size, rows = sample.RowCount;
        Memory<float> features = sample.Features;

        using var layers = new OnnxSession(graph.BuildForCheck(output, columns, new OnnxMetadata()));
        IReadOnlyList<float[]> actual = layers.RunAll(features, rows);
        var tolerances = new Dictionary<Node, (OnnxTolerance Tolerance, float Scale)>();
        foreach ((int i, (Node node, string name)) in trained.Layers.Index())
        {
            int size = node.Shape.Size;
            ReadOnlyMemory<float> expected = session.Read(plan.LayerOutputs[name]).AsMemory(0, rows * size);
            tolerances[node] = Explained(node, expected.Span, tolerances, HasHalves(plan, precision));
            OnnxCheck.Compare(new OnnxComparison(name, expected, actual[1 + i], size, tolerances[node].Tolerance));
        }

        // The model that is handed over has no outputs inside, so ONNX Runtime may fuse what it kept apart above.
        using var whole = new OnnxSession(graph.Build(output, columns, new OnnxMetadata()));
        var scores = new float[rows * columns];
        whole.Run(features, rows, scores);
        Node last = trained.Network.Node;
        OnnxCheck.Compare(new OnnxComparison("output", session.Read(plan.Output).AsMemory(0, rows * columns), scores, columns, tolerances[last].Tolerance));
    }

    private static bool HasHalves(ExecutionPlan plan, OnnxPrecision precision) => plan.Options.Precision == Precision.Mixed || precision == OnnxPrecision.Half;

    /// <summary>The inputs' error, in proportion to the layer's magnitude, and a few roundings more.</summary>
    private static (OnnxTolerance Tolerance, float Scale) Explained(
        Node node, ReadOnlySpan<float> expected, Dictionary<Node, (OnnxTolerance Tolerance, float Scale)> inputs, bool halves)
    {
        float scale = 0;
        foreach (float value in expected)
            if (float.IsFinite(value)) scale = MathF.Max(scale, MathF.Abs(value));

        float inherited = 0, around = scale;
        foreach (Node input in node.Inputs)
        {
            (OnnxTolerance tolerance, float inputScale) = inputs[input];
            // A layer that is quiet (a ReLU of what is negative) keeps its input's absolute error; one that magnifies keeps the relative one.
            inherited = MathF.Max(inherited, MathF.Max(tolerance.Absolute, inputScale > 0 ? tolerance.Absolute / inputScale * scale : 0));
            around = MathF.Max(around, MathF.Min(inputScale, 1));
        }

        // Half: one rounding in 2^11. Single: one in 2^24 for each term of a sum, which grow like the root of their number.
        int terms = node.InputShapes.Count == 0 ? 1 : node.InputShapes.Max(shape => shape.Size);
        float unit = halves ? 1f / 2048 : MathF.Sqrt(terms) / (1 << 24);
        return (new OnnxTolerance(inherited + RoundingsPerLayer * unit * around + 1f / (1 << 24), 0), scale);
    }
}
