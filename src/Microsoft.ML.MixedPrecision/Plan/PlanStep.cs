namespace Microsoft.ML.MixedPrecision;

/// <summary>The part of a training step that a kernel belongs to.</summary>
internal enum Phase
{
    Input,
    Forward,
    Loss,
    Backward,
    Accumulate,
    Check,
    Update,
}

/// <summary>A kernel in its place.</summary>
/// <param name="Layer">The layer it belongs to; empty for what belongs to none.</param>
internal sealed record PlanStep(Phase Phase, string Layer, Kernel Kernel);

/// <summary>A parameter with its tensors: slices of buffers that hold all parameters one after the other.</summary>
/// <param name="Number">Among all parameters of the network: the key of its initial values.</param>
/// <param name="Weight">Working storage: what the kernels of the network read.</param>
/// <param name="Master">FP32; the same tensor as <paramref name="Weight"/> where the working storage is FP32.</param>
/// <param name="Gradient">Working storage, with the loss scale.</param>
internal sealed record PlannedParameter(Node Node, string Name, ParameterSpec Spec, int Number, Tensor Weight, Tensor Master, Tensor Gradient);

/// <summary>What a plan does with a layer.</summary>
internal enum LayerUse
{
    Trained,

    /// <summary>It runs as in inference, and keeps its values.</summary>
    Frozen,

    /// <summary>It is before <see cref="PlanOptions.Begins"/>.</summary>
    Absent,
}

/// <summary>A parameter that stays as it is: neither master nor gradient nor state.</summary>
/// <param name="Number">As of a <see cref="PlannedParameter"/>.</param>
/// <param name="Weight">Working storage.</param>
internal sealed record FrozenParameter(Node Node, string Name, ParameterSpec Spec, int Number, Tensor Weight);

/// <summary>An FP32 buffer of an op with its tensor.</summary>
internal sealed record PlannedBuffer(Node Node, string Name, BufferSpec Spec, Tensor Values);
