namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Scores sample rows through ONNX Runtime and compares every layer with the forward pass that training has. A model that
/// differs by more than its format explains is not handed over.
/// What the format explains is measured: the same rows go through an FP16 and an FP32 export, and through the forward pass in both precisions, and how far two of them are
/// apart in a layer is what halves do to this network there. The forward passes count because ONNX Runtime computes halves on a CPU as floats, and rounds less often: a layer norm behind values that are
/// nearly equal multiplies the roundings before it. A worst-case bound would double with every layer and soon allow anything.
/// </summary>
internal static class ExportCheck
{
    // On what was measured and on the roundings: it is a sample of them, not their maximum.
    private const float Margin = 4;

    /// <summary>What a network's forward pass gives for a sample, layer by layer.</summary>
    /// <param name="plan">Of the training.</param>
    public static IReadOnlyList<float[]> Outputs(TrainedNetwork trained, PlanOptions plan, Backend backend, Batch sample)
    {
        var options = plan with { Precision = backend.Precision, Batch = sample.Weights.Length, KeepAll = true, ForwardOnly = true, Begins = null, TotalUpdates = 1, AccumulationSteps = 1 };
        using var session = new TrainingSession(PlanBuilder.Build(trained.Network, options), backend, values: trained);
        return Outputs(session, sample);
    }

    /// <summary>What the training's forward pass gives for a sample, layer by layer; after it the session's memory may be freed.</summary>
    /// <param name="session">Of a plan that keeps all.</param>
    /// <param name="sample">A batch of the plan; its first rows are read.</param>
    public static IReadOnlyList<float[]> Outputs(TrainingSession session, Batch sample)
    {
        var plan = session.Plan;
        if (!plan.Options.KeepAll) throw new ArgumentException("Expected a plan with KeepAll: the layers' outputs are read after the pass.", nameof(session));
        session.EvaluatePass(sample);
        return [.. plan.Layers.Select(layer => session.Read(plan.LayerOutputs[layer.Name])[..(sample.RowCount * layer.Node.Shape.Size)])];
    }

    public static OnnxModel Verify(TrainedNetwork trained, OnnxPrecision precision, TrainingSession session, Batch sample)
    {
        var outputs = Outputs(session, sample);
        return Verify(trained, precision, session.Plan.Options, outputs, InOtherPrecision(TrainedNetwork.From(session), session.Plan.Options, sample), sample, new OnnxMetadata());
    }

    /// <summary>The forward pass in the precision that the training did not have, on the CPU.</summary>
    /// <param name="plan">Of the training.</param>
    public static IReadOnlyList<float[]> InOtherPrecision(TrainedNetwork trained, PlanOptions plan, Batch sample) =>
        Outputs(trained, plan, new CpuBackend(plan.Precision == Precision.Mixed ? Precision.Single : Precision.Mixed), sample);

    /// <param name="trained">What is exported.</param>
    /// <param name="precision">Of the export.</param>
    /// <param name="plan">Of the training.</param>
    /// <param name="outputs">Of each layer in the training's precision, as <see cref="Outputs(TrainingSession, Batch)"/> gives them for the same values.</param>
    /// <param name="inOther">And in the other precision; not used where neither training nor export has halves.</param>
    /// <param name="sample">Its first rows are compared.</param>
    /// <param name="metadata">What the model says about itself.</param>
    /// <returns>The model that scored as the training does.</returns>
    /// <exception cref="InvalidOperationException">The first layer that differs, its worst value and the bound.</exception>
    public static OnnxModel Verify(TrainedNetwork trained, OnnxPrecision precision, PlanOptions plan, IReadOnlyList<float[]> outputs, IReadOnlyList<float[]> inOther, Batch sample, OnnxMetadata metadata)
    {
        int rows = sample.RowCount;
        bool halves = HasHalves(plan, precision);
        int columns = trained.Network.Shape.Size;
        // The other precision first: its weights are free again before those of the model are made.
        IReadOnlyList<float[]>? other = halves ? Layers(trained, precision == OnnxPrecision.Half ? OnnxPrecision.Single : OnnxPrecision.Half, sample) : null;
        (OnnxGraph graph, string last) = OnnxExporter.Export(trained, precision, expose: true);
        IReadOnlyList<float[]> actual = Layers(graph, last, columns, sample);
        var magnitudes = new Dictionary<Node, (int Depth, float Scale)>();
        OnnxTolerance tolerance = default;
        int place = 0; // the output comes first
        foreach ((int i, (Node node, string name)) in trained.Layers.Index())
        {
            float roundings = Roundings(node, Largest(outputs[i]), magnitudes, halves);
            if (!OnnxExporter.HasNumbers(trained.Network, node)) continue;
            place++;
            float apart = other is null ? 0 : MathF.Max(Apart(actual[place], other[place]), Apart(outputs[i], inOther[i]));
            tolerance = new OnnxTolerance(Margin * (apart + roundings), 0);
            OnnxCheck.Compare(new OnnxComparison(name, outputs[i], actual[place], node.Shape.Size, tolerance));
        }

        // The model that is handed over has no outputs inside, so ONNX Runtime may fuse what it kept apart above. The network's last node is the last layer.
        OnnxModel model = graph.Build(last, columns, metadata);
        using var whole = OnnxSession.Of(model);
        var scores = new float[rows * columns];
        whole.Run(sample.Features, rows, scores);
        OnnxCheck.Compare(new OnnxComparison("output", outputs[^1], scores, columns, tolerance));
        return model;
    }

    /// <summary>Whether the training or the export rounds to halves.</summary>
    public static bool HasHalves(PlanOptions plan, OnnxPrecision precision) => plan.Precision == Precision.Mixed || precision == OnnxPrecision.Half;

    /// <summary>The output, then all layers.</summary>
    private static IReadOnlyList<float[]> Layers(TrainedNetwork trained, OnnxPrecision precision, Batch sample)
    {
        (OnnxGraph graph, string last) = OnnxExporter.Export(trained, precision, expose: true);
        return Layers(graph, last, trained.Network.Shape.Size, sample);
    }

    private static IReadOnlyList<float[]> Layers(OnnxGraph graph, string last, int columns, Batch sample)
    {
        using var session = OnnxSession.Of(graph.BuildForCheck(last, columns, new OnnxMetadata()));
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
