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

    /// <summary>With the values that the training gave it.</summary>
    public Network Trained => trained.ToNetwork();

    /// <summary>The format of the training.</summary>
    public OnnxPrecision Native => plan.Precision == Precision.Mixed ? OnnxPrecision.Half : OnnxPrecision.Single;

    /// <exception cref="InvalidOperationException">A score is not finite, or ONNX Runtime's scores differ by more than the format explains; the message names the layer.</exception>
    public OnnxModel Model(OnnxPrecision precision)
    {
        var outputs = ExportCheck.Outputs(trained, plan, device.Create(plan.Precision), sample);
        int bad = Array.FindIndex(outputs[^1], value => !float.IsFinite(value));
        if (bad >= 0)
            throw new InvalidOperationException(FormattableString.Invariant($"The trained network gives {outputs[^1][bad]} for a row of the training data: expected finite scores. The training diverged; lower the learning rate, set GradientClipNorm, scale the features (Transforms.NormalizeMeanVariance), or train with Precision.Single."));
        var inOther = ExportCheck.HasHalves(plan, precision) ? ExportCheck.InOtherPrecision(trained, plan, sample) : outputs;
        return ExportCheck.Verify(trained, precision, plan, outputs, inOther, sample, new OnnxMetadata { LabelNames = labels });
    }
}
