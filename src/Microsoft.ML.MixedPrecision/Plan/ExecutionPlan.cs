namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A network, a batch size and a policy compiled into three lists of steps, and a place for every byte. Immutable, and
/// the same for every device: a <see cref="TrainingSession"/> binds it to one.
/// </summary>
internal sealed class ExecutionPlan
{
    public required Network Network { get; init; }
    public required PlanOptions Options { get; init; }

    /// <summary>Forward and backward over one batch. Run once for each micro-step.</summary>
    public required IReadOnlyList<PlanStep> Train { get; init; }

    /// <summary>Gradient check, update, loss scale. Run after the last micro-step.</summary>
    public required IReadOnlyList<PlanStep> Update { get; init; }

    /// <summary>Forward as inference has it, and the losses.</summary>
    public required IReadOnlyList<PlanStep> Evaluate { get; init; }

    /// <summary>[batch, features], FP32, as the feature column has them: images in their pixel order.</summary>
    public required Tensor Features { get; init; }

    /// <summary>Whether there are tokens among the features, which stay FP32.</summary>
    public bool HasTokens => Options.Begins is null && Network.InputFormat.HasTokens;

    public required LossTargets Targets { get; init; }

    /// <summary>The network's output in the evaluation, [batch, outputs], working storage.</summary>
    public required Tensor Output { get; init; }

    /// <summary>The outputs of all layers of the plan in the training, by layer: readable after it where the plan keeps all.</summary>
    public required IReadOnlyDictionary<string, Tensor> TrainOutputs { get; init; }

    /// <summary>The gradient of the network's input, NHWC, with the loss scale; null where it was not asked for.</summary>
    public Tensor? InputGradient { get; init; }

    /// <summary>The network's nodes with the names that are unique within this plan, inputs before what uses them.</summary>
    public required IReadOnlyList<(Node Node, string Name)> Layers { get; init; }

    /// <summary>The outputs of all layers of the plan in the evaluation, by layer: readable after it where the plan keeps all.</summary>
    public required IReadOnlyDictionary<string, Tensor> LayerOutputs { get; init; }

    public required ParameterBlock Parameters { get; init; }
    public required IReadOnlyList<PlannedBuffer> Buffers { get; init; }
    public required StepControl Control { get; init; }

    /// <summary>What the optimizer multiplies with at each update, computed ahead: [updates, <see cref="Optimizer.CoefficientCount"/>].</summary>
    public required Tensor Coefficients { get; init; }

    /// <summary>Bytes of each arena.</summary>
    public required IReadOnlyDictionary<Region, long> Bytes { get; init; }

    public long TotalBytes => Bytes.Values.Sum();

    /// <summary>Bytes of one element.</summary>
    public int SizeOf(ElementType element) => element == ElementType.Working && Options.Precision == Precision.Mixed ? 2 : 4;
}
