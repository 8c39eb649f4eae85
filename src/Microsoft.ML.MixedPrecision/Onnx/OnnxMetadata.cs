namespace Microsoft.ML.MixedPrecision;

/// <summary>What an ONNX file says about itself. Nothing here may depend on the machine or the time: equal models give equal bytes.</summary>
internal sealed record OnnxMetadata
{
    public string ProducerName { get; init; } = "Microsoft.ML.MixedPrecision";

    public string ProducerVersion { get; init; } =
        typeof(OnnxMetadata).Assembly.GetName().Version is { } version ? version.ToString(3) : "0.0.0";

    public long ModelVersion { get; init; } = 1;

    public string Description { get; init; } = "";

    /// <summary>One name a class, in the order of the output's columns; empty where the label has none.</summary>
    public IReadOnlyList<string> LabelNames { get; init; } = [];

    /// <summary>Further entries of the model's properties, in this order.</summary>
    public IReadOnlyList<(string Key, string Value)> Properties { get; init; } = [];
}
