namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// In which format an exported ONNX model keeps its weights and computes. Features and scores are FP32 in both, and tokens UINT32.
/// </summary>
public enum OnnxPrecision
{
    /// <summary>
    /// Weights and activations are FP16, 2 bytes a weight, with casts at the input and the output: the default. Weights beyond
    /// +-65504 cannot be written. GPUs compute in FP16; ONNX Runtime on a CPU may compute parts of it in FP32, which is
    /// correct and slower than <see cref="Single"/>.
    /// </summary>
    Half,

    /// <summary>Weights and activations are FP32, 4 bytes a weight: the faster choice for scoring on a CPU.</summary>
    Single,
}
