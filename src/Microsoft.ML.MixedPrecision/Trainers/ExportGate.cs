namespace Microsoft.ML.MixedPrecision;

/// <summary>Makes ONNX models of a trained network, and lets none out whose scores are not those of the training's forward pass.</summary>
/// <param name="trained">What is exported.</param>
/// <param name="plan">Of the training.</param>
/// <param name="device">Where it was trained.</param>
/// <param name="sample">Rows of the training data.</param>
/// <param name="labels">The names of the classes; empty without.</param>
internal sealed class ExportGate(TrainedNetwork trained, PlanOptions plan, DeviceChoice device, Batch sample, IReadOnlyList<string> labels)
{
    /// <summary>Rows that each export is checked with.</summary>
    public const int SampleRows = 16;

    public Network Network => trained.Network;

    /// <summary>The format of the training.</summary>
    public OnnxPrecision Native => plan.Precision == Precision.Mixed ? OnnxPrecision.Half : OnnxPrecision.Single;

    /// <exception cref="InvalidOperationException">A score is not finite, or ONNX Runtime's scores differ by more than the format explains; the message names the layer.</exception>
    public OnnxModel Model(OnnxPrecision precision)
    {
        var options = plan with { Batch = sample.Weights.Length, KeepAll = true, TotalUpdates = 1, AccumulationSteps = 1 };
        using (var session = new TrainingSession(PlanBuilder.Build(trained.Network, options), device.Create(plan.Precision)))
        {
            trained.To(session);
            session.EvaluatePass(sample);
            var output = new float[session.Plan.Output.Length];
            session.ReadOutput(output);
            int bad = Array.FindIndex(output, value => !float.IsFinite(value));
            if (bad >= 0)
                throw new InvalidOperationException(FormattableString.Invariant($"The trained network gives {output[bad]} for a row of the training data: expected finite scores. The training diverged; lower the learning rate, set GradientClipNorm, scale the features (Transforms.NormalizeMeanVariance), or train with Precision.Single."));
            ExportCheck.Verify(trained, precision, session, sample);
        }
        var (graph, last) = OnnxExporter.Export(trained, precision);
        return graph.Build(last, trained.Network.Shape.Size, new OnnxMetadata { LabelNames = labels });
    }
}
