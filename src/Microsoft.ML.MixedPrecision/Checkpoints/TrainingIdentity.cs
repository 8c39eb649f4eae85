using System.Globalization;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>All that decides the bits of a training, but the device, in words: a training goes on only where nothing of it differs.</summary>
internal static class TrainingIdentity
{
    public static IReadOnlyList<(string What, string Value)> Of(ExecutionPlan plan, MixedPrecisionTrainer.Options options, TrainingData data, uint seed)
    {
        var culture = CultureInfo.CurrentCulture;
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture; // a record prints itself in the current one
        try
        {
            var names = plan.Layers.ToDictionary(layer => layer.Node, layer => layer.Name);
            string Described(Node node) => node.Op is null ? $"{plan.Network.InputFormat}" : $"{node.Op.Described()} of {string.Join(" and ", node.Inputs.Select(input => names[input]))}";
            return
            [
                .. plan.Layers.Select((layer, i) => ($"layer {i}", $"{layer.Name} [{layer.Node.Shape}] {Described(layer.Node)}")),
                .. plan.Parameters.Parameters.Select(p => ($"the shape of {p.Name}", string.Join('x', p.Spec.Dimensions))),
                .. plan.Layers.Where(layer => layer.Node.Start is not null).Select(layer => ($"what {layer.Name} starts from", $"checksum {Checksum(layer.Node.Start!):X16}")),
                ("Loss", $"{plan.Options.Loss}"),
                ("Optimizer", $"{plan.Options.Optimizer}"),
                ("Schedule", $"{plan.Options.Schedule}"),
                ("Precision", $"{options.Precision}"),
                ("LossScale", $"{plan.Options.LossScale}"),
                ("Epochs", $"{options.Epochs}"),
                ("BatchSize", $"{options.BatchSize}"),
                ("GradientAccumulationSteps", $"{options.GradientAccumulationSteps}"),
                ("GradientClipNorm", $"{options.GradientClipNorm}"),
                ("Shuffle", $"{options.Shuffle}"),
                ("EarlyStopping", $"{options.EarlyStopping}"),
                ("Seed", $"{unchecked((int)seed)}"),
                ("the rows to train on", $"{data.Training.Rows} (checksum {data.Training.Checksum:X16})"),
                ("the rows to validate on", $"{data.Validation?.Rows ?? 0} (checksum {data.Validation?.Checksum ?? 0:X16})"),
                ("the coefficients of optimizer and schedule", $"checksum {Checksum(plan.Options.CoefficientTable()):X16}"), // what their words do not show
            ];
        }
        finally
        {
            CultureInfo.CurrentCulture = culture;
        }
    }

    private static ulong Checksum(StartValues start) => start.Parameters.Concat(start.Buffers).Aggregate(0UL, (before, values) => Checksum(values, before));

    /// <summary>Of floats, after those that gave <paramref name="before"/>: differs where they, or their order, do, in all likelihood.</summary>
    public static ulong Checksum(ReadOnlySpan<float> values, ulong before = 0) =>
        unchecked((before + TensorPrimitives.Sum(MemoryMarshal.Cast<float, uint>(values))) * 0x9E37_79B9_7F4A_7C15 + (ulong)values.Length);
}
