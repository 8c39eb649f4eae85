namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Scores sample rows through ONNX Runtime and compares every layer with the forward pass that training has. A model that
/// differs by more than its format explains is not handed over.
/// What the format explains is measured: the same rows are scored by an FP16 and an FP32 export, and how far these two are apart in a layer is
/// what halves do to this network there. A worst-case bound would double with every layer and soon allow anything.
/// </summary>
internal static class ExportCheck
{
    // On what was measured and on the roundings: it is a sample of them, not their maximum.
    private const float Margin = 4;

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
        int rows = sample.RowCount;
        bool halves = plan.Options.Precision == Precision.Mixed || precision == OnnxPrecision.Half;
        IReadOnlyList<float[]> actual = Layers(trained, precision, sample);
        IReadOnlyList<float[]> other = halves ? Layers(trained, precision == OnnxPrecision.Half ? OnnxPrecision.Single : OnnxPrecision.Half, sample) : actual;
        var magnitudes = new Dictionary<Node, (int Depth, float Scale)>();
        OnnxTolerance tolerance = default;
        foreach ((int i, (Node node, string name)) in trained.Layers.Index())
        {
            int size = node.Shape.Size;
            ReadOnlyMemory<float> expected = session.Read(plan.LayerOutputs[name]).AsMemory(0, rows * size);
            float roundings = Roundings(node, Largest(expected.Span), magnitudes, halves);
            tolerance = new OnnxTolerance(Margin * (Apart(actual[1 + i], other[1 + i]) + roundings), 0);
            OnnxCheck.Compare(new OnnxComparison(name, expected, actual[1 + i], size, tolerance));
        }

        // The model that is handed over has no outputs inside, so ONNX Runtime may fuse what it kept apart above. The network's last node is the last layer.
        int columns = trained.Network.Shape.Size;
        (OnnxGraph graph, string output) = OnnxExporter.Export(trained, precision);
        using var whole = new OnnxSession(graph.Build(output, columns, new OnnxMetadata()));
        var scores = new float[rows * columns];
        whole.Run(sample.Features, rows, scores);
        OnnxCheck.Compare(new OnnxComparison("output", session.Read(plan.Output).AsMemory(0, rows * columns), scores, columns, tolerance));
    }

    /// <summary>The output, then all layers.</summary>
    private static IReadOnlyList<float[]> Layers(TrainedNetwork trained, OnnxPrecision precision, Batch sample)
    {
        (OnnxGraph graph, string output) = OnnxExporter.Export(trained, precision, expose: true);
        using var session = new OnnxSession(graph.BuildForCheck(output, trained.Network.Shape.Size, new OnnxMetadata()));
        return session.RunAll(sample.Features, sample.RowCount);
    }

    /// <summary>What independent roundings on the way to a layer add up to: they grow like the root of their number.</summary>
    private static float Roundings(Node node, float scale, Dictionary<Node, (int Depth, float Scale)> magnitudes, bool halves)
    {
        int depth = 1;
        float around = scale;
        foreach (Node input in node.Inputs)
        {
            (int inputDepth, float inputScale) = magnitudes[input];
            depth = Math.Max(depth, inputDepth + 1);
            around = MathF.Max(around, MathF.Min(inputScale, 1) / 16); // a quiet layer (a ReLU of what is negative) still has its input's error
        }
        magnitudes[node] = (depth, scale);

        // Half: a layer rounds once, by one part in 2^11. Single: one in 2^24 for each term of a sum.
        int terms = node.InputShapes.Count == 0 ? 1 : node.InputShapes.Max(shape => shape.Size);
        float unit = halves ? 1f / 2048 : 4 * MathF.Sqrt(terms) / (1 << 24);
        return unit * MathF.Sqrt(depth) * around + 1f / (1 << 24);
    }

    private static float Largest(ReadOnlySpan<float> values)
    {
        float largest = 0;
        foreach (float value in values)
            if (float.IsFinite(value)) largest = MathF.Max(largest, MathF.Abs(value));
        return largest;
    }

    private static float Apart(float[] a, float[] b)
    {
        float largest = 0;
        for (int i = 0; i < a.Length; i++)
        {
            float apart = MathF.Abs(a[i] - b[i]);
            if (float.IsFinite(apart)) largest = MathF.Max(largest, apart); // beyond half's range only one of them is finite: no measure
        }
        return largest;
    }
}
