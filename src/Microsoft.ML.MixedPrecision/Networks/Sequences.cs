namespace Microsoft.ML.MixedPrecision;

/// <summary>The layers of images for sequences: a sequence is an image of one row.</summary>
public sealed partial class Network
{
    /// <summary>
    /// A 1-D convolution as PyTorch's Conv1d, over the positions of a sequence: [length, features] to [length', filters] with length' = floor((length + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.
    /// Weight and bias start as those of <see cref="Conv2d"/>, which it is, of an image of one row.
    /// </summary>
    /// <param name="filters">Features of the output, at least 1.</param>
    /// <param name="kernel">Taps of the window, at least 1.</param>
    /// <param name="stride">Positions from one window to the next; 1 by default, at least 1.</param>
    /// <param name="padding">Zeros on each side; 0 by default, at least 0.</param>
    /// <param name="dilation">Positions from one tap to the next; 1 by default, at least 1.</param>
    /// <param name="groups">Parts of the features that are convolved each by themselves; divides features and filters; 1 by default.</param>
    /// <param name="bias">Whether a bias is added to each filter. Superfluous before BatchNorm.</param>
    /// <param name="name">The name of the Conv2d in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    /// <exception cref="ArgumentException">The network's output here is not a sequence, the kernel is longer than the padded sequence, or groups do not divide.</exception>
    public Network Conv1d(int filters, int kernel, int stride = 1, int padding = 0, int dilation = 1, int groups = 1, bool bias = true, string? name = null) =>
        OfOneRow("Conv1d", x => x.Conv2d(filters, new(1, kernel), new(1, stride), new(0, padding), new(1, dilation), groups, bias, name));

    /// <summary>The largest value of each feature in each window of positions, as PyTorch's MaxPool1d: a <see cref="MaxPool2d"/> of an image of one row.</summary>
    /// <param name="kernel">Positions of a window, at least 1.</param>
    /// <param name="stride">Positions from one window to the next, at least 1; by default the kernel.</param>
    /// <param name="padding">Positions that never win on each side; 0 by default, at most half of the kernel.</param>
    /// <param name="name">The name of the MaxPool2d in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    /// <exception cref="ArgumentException">The network's output here is not a sequence, or the kernel is longer than the padded sequence.</exception>
    public Network MaxPool1d(int kernel, int? stride = null, int padding = 0, string? name = null) =>
        OfOneRow("MaxPool1d", x => x.MaxPool2d(new(1, kernel), new(1, stride ?? kernel), new(0, padding), name));

    /// <summary>The mean of each feature in each window of positions, as PyTorch's AvgPool1d: an <see cref="AvgPool2d"/> of an image of one row.</summary>
    /// <param name="kernel">Positions of a window, at least 1.</param>
    /// <param name="stride">Positions from one window to the next, at least 1; by default the kernel.</param>
    /// <param name="padding">Zeros on each side; 0 by default, at most half of the kernel.</param>
    /// <param name="countIncludePad">Whether padding counts in the mean; true by default, as in PyTorch.</param>
    /// <param name="name">The name of the AvgPool2d in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    /// <exception cref="ArgumentException">The network's output here is not a sequence, or the kernel is longer than the padded sequence.</exception>
    public Network AvgPool1d(int kernel, int? stride = null, int padding = 0, bool countIncludePad = true, string? name = null) =>
        OfOneRow("AvgPool1d", x => x.AvgPool2d(new(1, kernel), new(1, stride ?? kernel), new(0, padding), countIncludePad, name));

    /// <summary>The mean of each feature over all positions, or those that have a token: [length, features] to the vector [features]. Without a mask a <see cref="GlobalAvgPool2d"/> of an image of one row.</summary>
    /// <param name="mask">The network's tokens: positions of token 0 do not count, and the mean of none is 0. By default all count.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentException">The network's output here is not a sequence, or the mask is not of its input or its length.</exception>
    public Network GlobalAvgPool1d(TokenInput? mask = null, string? name = null) =>
        mask is null ? OfOneRow("GlobalAvgPool1d", x => x.GlobalAvgPool2d(name)) : Apply(new TokenMean(), name, this, mask.Input);

    private Network OfOneRow(string kind, Func<Network, Network> layer)
    {
        if (!Shape.IsSequence)
            throw new ArgumentException($"{kind}: expected a sequence [length, features], got {Shape.Described}; start from Network.Sequence(...), or put Reshape(length, features) before it.");
        var y = layer(Reshape(1, Shape.Length, Shape.Channels));
        return y.Shape.IsImage ? y.Reshape(y.Shape.Width, y.Shape.Channels) : y;
    }
}
