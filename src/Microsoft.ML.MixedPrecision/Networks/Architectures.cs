namespace Microsoft.ML.MixedPrecision;

/// <summary>Networks of the literature, up to the head: append them to an input, and let the trainer add the head that fits the label.</summary>
public static class Architectures
{
    /// <summary>
    /// The residual network for small images of He et al. (2016), section 4.2, for 32x32 CIFAR images: a 3x3 convolution of 16 filters,
    /// three stages of 16, 32 and 64 filters, of which the second and third begin with stride 2, and a global average. A stage has
    /// <paramref name="blocksPerStage"/> blocks of two 3x3 convolutions, each with batch norm; where a block changes the shape, its
    /// shortcut is a 1x1 convolution with batch norm. ResNet-20 has 3 blocks a stage, ResNet-32 5, ResNet-56 9.
    /// </summary>
    /// <param name="input">A network whose output is an image of at least 4x4 pixels.</param>
    /// <param name="blocksPerStage">At least 1; 3 by default.</param>
    /// <returns>The network, ending in a vector of 64 elements.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="blocksPerStage"/> is less than 1.</exception>
    public static Network ResNetSmall(Network input, int blocksPerStage = 3)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentOutOfRangeException.ThrowIfLessThan(blocksPerStage, 1);
        var x = input.Conv2d(16, 3, padding: 1, bias: false).BatchNorm().Relu();
        foreach (int filters in (ReadOnlySpan<int>)[16, 32, 64])
            for (int block = 0; block < blocksPerStage; block++) x = ResidualBlock(x, filters, stride: block == 0 && filters > 16 ? 2 : 1);
        return x.GlobalAvgPool2d();
    }

    /// <summary>
    /// The 50-layer residual network of He et al. (2016), table 1, for images of 224x224: a 7x7 convolution of 64 filters with stride 2, a 3x3
    /// max pooling with stride 2, four stages of 3, 4, 6 and 3 blocks, and a global average. A block is a 1x1 convolution to 64, 128, 256 or 512
    /// filters, a 3x3 one, and a 1x1 one to four times as many, each with batch norm; where a block changes the shape, its shortcut is a 1x1
    /// convolution with batch norm. The stride of a stage is that of its first 3x3 convolution, as PyTorch's and NVIDIA's models have it.
    /// </summary>
    /// <param name="input">A network whose output is an image. Those of at least 32x32 pixels give the last stage a pixel of its own.</param>
    /// <returns>The network, ending in a vector of 2048 elements; 23.5 million parameters over an image of 3 channels.</returns>
    public static Network ResNet50(Network input)
    {
        ArgumentNullException.ThrowIfNull(input);
        var x = input.Conv2d(64, 7, 2, padding: 3, bias: false).BatchNorm().Relu().MaxPool2d(3, 2, 1);
        foreach (var (filters, blocks) in (ReadOnlySpan<(int, int)>)[(64, 3), (128, 4), (256, 6), (512, 3)])
            for (int block = 0; block < blocks; block++) x = Bottleneck(x, filters, stride: block == 0 && filters > 64 ? 2 : 1);
        return x.GlobalAvgPool2d();
    }

    /// <summary>
    /// The encoder of Vaswani et al. (2017), with layer norms before instead of behind (Xiong et al., 2020), which trains without a warm-up: in each layer x + SelfAttention(LayerNorm(x)), then
    /// x + Linear(Gelu(Linear(LayerNorm(x)))); a layer norm at the end. PyTorch's TransformerEncoder with norm_first and gelu, without dropout of attention weights.
    /// </summary>
    /// <param name="input">A network whose output is a sequence; positions are told apart only where a <see cref="Network.PositionalEmbedding"/> has marked them.</param>
    /// <param name="layers">At least 1.</param>
    /// <param name="heads">Of each SelfAttention; divides the features.</param>
    /// <param name="hidden">Features between the two Linears; by default four times those of the sequence.</param>
    /// <param name="dropout">Part of each layer's two contributions that is dropped in training; 0.1 by default, at least 0 and below 1.</param>
    /// <param name="mask">The network's tokens: positions of token 0 are not attended to. By default all are.</param>
    /// <param name="causal">Whether a position sees itself and those before it only. By default all are seen.</param>
    /// <returns>The network, ending in a sequence of the input's shape: before the head, <see cref="Network.GlobalAvgPool1d"/> makes a vector of it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    /// <exception cref="ArgumentException">The network's output is not a sequence, or the heads do not divide its features.</exception>
    public static Network TransformerEncoder(Network input, int layers, int heads, int? hidden = null, float dropout = 0.1f, TokenInput? mask = null, bool causal = false)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentOutOfRangeException.ThrowIfLessThan(layers, 1);
        var x = input;
        int features = input.Shape.Channels;
        for (int layer = 0; layer < layers; layer++)
        {
            x += Dropped(x.LayerNorm().SelfAttention(heads, mask: mask, causal: causal));
            x += Dropped(x.LayerNorm().Linear(hidden ?? 4 * features).Gelu().Linear(features));
        }
        return x.LayerNorm();

        Network Dropped(Network y) => dropout == 0f ? y : y.Dropout(dropout);
    }

    private static Network Bottleneck(Network x, int filters, int stride)
    {
        var body = x.Conv2d(filters, 1, bias: false).BatchNorm().Relu()
            .Conv2d(filters, 3, stride, padding: 1, bias: false).BatchNorm().Relu()
            .Conv2d(4 * filters, 1, bias: false).BatchNorm();
        var shortcut = stride == 1 && x.Shape.Channels == 4 * filters ? x : x.Conv2d(4 * filters, 1, stride, bias: false).BatchNorm();
        return (body + shortcut).Relu();
    }

    private static Network ResidualBlock(Network x, int filters, int stride)
    {
        var body = x.Conv2d(filters, 3, stride, padding: 1, bias: false).BatchNorm().Relu()
            .Conv2d(filters, 3, padding: 1, bias: false).BatchNorm();
        var shortcut = stride == 1 && x.Shape.Channels == filters ? x : x.Conv2d(filters, 1, stride, bias: false).BatchNorm();
        return (body + shortcut).Relu();
    }
}
