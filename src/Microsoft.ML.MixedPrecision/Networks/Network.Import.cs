namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// The layers of an ONNX model with their weights, behind this network: a model that learned elsewhere, to train on (fine tuning), or to <see cref="Freeze"/> and train a head on. Weights, and the running statistics
    /// of batch norms, start from the file's. What it must consist of: Conv in two dimensions, BatchNormalization, LayerNormalization, Gemm, MatMul, Add, Mul, Relu, LeakyRelu, Clip (Relu6), Sigmoid, HardSigmoid, HardSwish, Tanh, Gelu, Softmax, MaxPool,
    /// AveragePool, GlobalAveragePool, ReduceMean over height and width, Concat of channels, Dropout, Pad before an AveragePool, and what only moves elements: Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Identity, Cast. All that is exported from here but for
    /// SelfAttention, Lstm and tokens is among it, and of PyTorch's torchvision AlexNet, VGG, ResNet, ResNeXt, RegNet, DenseNet, Inception, SqueezeNet 1.1, MobileNet, MNASNet and EfficientNet. An image may have another height and width than the model was exported with.
    /// </summary>
    /// <param name="path">A model with one input: an image [N, channels, height, width] or a vector [N, features], of FP32 or FP16, with its weights within the file.</param>
    /// <param name="output">A node or a value of the graph, where to end: "Flatten_0" before the last layer, say. Nothing behind it is read. By default the model's output.</param>
    /// <exception cref="ArgumentException">This network's output is not what the model takes, or there is no such <paramref name="output"/>.</exception>
    /// <exception cref="NotSupportedException">The model has a node that has no counterpart here; the message names it, and the value before it.</exception>
    /// <exception cref="InvalidDataException">The file is not an ONNX model.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public Network ImportOnnx(string path, string? output = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return OnnxImporter.Append(this, path, output);
    }
}
