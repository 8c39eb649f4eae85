namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Networks that nobody thought of: a seed gives a small one, of any ops in any order with any options that fit.</summary>
/// <param name="wholeChunks">Channels are a multiple of eight, up to 128: what products on tensor cores copy in whole chunks.</param>
internal sealed class RandomNetwork(Random random, bool wholeChunks = false)
{
    /// <summary>An image, a sequence, tokens or a vector, up to eight ops with branches among them, and a vector of <paramref name="outputs"/> at the end.</summary>
    public static Network Of(int seed, int outputs, bool wholeChunks = false) => new RandomNetwork(new Random(seed), wholeChunks).Of(outputs);

    private Network Of(int outputs)
    {
        var x = random.Next(8) switch
        {
            0 => Network.Vector(Width()),
            6 => OfTokens(Network.Tokens(random.Next(1, 20), random.Next(2, 50))),
            7 => OfTable(Network.Table(Width(), random.Next(1, 5), random.Next(2, 50))),
            1 or 2 => Network.Sequence(random.Next(1, 20), Channels()),
            _ => Network.Image(random.Next(1, 10), random.Next(1, 10), Channels(), random.Next(2) == 0 ? PixelOrder.Planar : PixelOrder.Interleaved),
        };
        return From(x).Linear(outputs, bias: random.Next(2) == 0);
    }

    /// <summary>The ops, behind an input; a vector at the end.</summary>
    public Network From(Network x)
    {
        for (int ops = random.Next(1, 9); ops > 0; ops--) x = Next(x);
        return x.Flatten();
    }

    private Network Next(Network x) => random.Next(5) switch
    {
        0 => Element(x),
        1 => Branches(x),
        2 => random.Next(3) switch { 0 => x.BatchNorm(), 1 => x.LayerNorm(), _ => x.Softmax() },
        _ when x.Shape.IsImage => OfImage(x),
        3 when x.Shape.IsSequence => OfSequence(x),
        _ => Element(x.Linear(Width(), bias: random.Next(2) == 0)),
    };

    private Network OfTable(TableInput table)
    {
        var tokens = OfTokens(table.Tokens);
        return Network.Concat(Element(table.Numbers), tokens.Flatten());
    }

    private Network OfTokens(TokenInput tokens)
    {
        var x = tokens.Embedding(Channels());
        return random.Next(5) switch { 0 => x.SelfAttention(1, mask: tokens, causal: random.Next(2) == 0), 3 => x.Linear(Channels()).LastToken(tokens), 1 => x.GlobalAvgPool1d(tokens), 2 => Network.Concat(x, tokens.Embedding(Channels())), _ => x };
    }

    private Network OfSequence(Network x)
    {
        int features = x.Shape.Channels, length = x.Shape.Length;
        return random.Next(7) switch
        {
            6 => length > 1 ? x.Lstm(wholeChunks ? Channels() : random.Next(1, 20), returnSequence: random.Next(2) == 0, bidirectional: random.Next(3) == 0) : x,
            0 => x.PositionalEmbedding(),
            1 => x.Conv1d(Channels(), random.Next(1, length + 1), random.Next(1, 3)),
            2 => length > 1 ? x.MaxPool1d(2) : x.GlobalAvgPool1d(),
            _ => x.SelfAttention(Enumerable.Range(1, Math.Min(features, 8)).Where(h => features % h == 0).OrderBy(_ => random.Next()).First(), bias: random.Next(2) == 0, causal: random.Next(3) == 0),
        };
    }

    private Network Element(Network x) => random.Next(10) switch
    {
        0 => x.Gelu(),
        1 => x.Silu(),
        2 => x.Sigmoid(),
        3 => x.Tanh(),
        4 => x.LeakyRelu(0.1f),
        5 => x.Dropout(0.3f),
        6 => x.Relu6(),
        7 => x.Hardswish(),
        _ => x.Relu(),
    };

    private Network Branches(Network x)
    {
        if (!x.Shape.IsVector && random.Next(4) == 0) return x.Multiply((x.Shape.IsImage ? x.GlobalAvgPool2d() : x.GlobalAvgPool1d()).Linear(x.Shape.Channels).Hardsigmoid());
        var other = Element(x);
        return random.Next(3) switch { 0 => x + other, 1 => x.Multiply(other), _ => Network.Concat(x, other) };
    }

    private Network OfImage(Network x)
    {
        var (height, width, channels) = (x.Shape.Height, x.Shape.Width, x.Shape.Channels);
        int kernel = random.Next(1, Math.Min(4, Math.Min(height, width) + 1)), stride = random.Next(1, 4), padding = random.Next(0, kernel / 2 + 1);
        switch (random.Next(8))
        {
            case 0: return x.MaxPool2d(kernel, stride, padding);
            case 1: return x.AvgPool2d(kernel, stride, padding);
            case 2: return x.Conv2d(channels, kernel, stride, padding, groups: channels, bias: random.Next(2) == 0);
            case 3: return random.Next(3) == 0 ? x.GlobalAvgPool2d() : x.Reshape(height * width, channels);
            case 4 when channels > 1:
                int groups = Enumerable.Range(2, channels - 1).First(g => channels % g == 0);
                return Element(x.Conv2d(groups * (wholeChunks ? 8 : random.Next(1, 9)), kernel, stride, padding, groups: groups, bias: random.Next(2) == 0));
            case 5 when Math.Min(height, width) > 1: return x.Augment(shift: 1, flip: random.Next(2) == 0);
            default: return Element(x.Conv2d(Channels(), kernel, stride, padding, bias: random.Next(2) == 0));
        }
    }

    private int Width() => wholeChunks ? Channels() : random.Next(1, 40);

    /// <summary>Few, whole vectors, or neither.</summary>
    private int Channels() => wholeChunks ? 8 * random.Next(1, 17) : random.Next(3) switch { 0 => random.Next(1, 4), 1 => 8 * random.Next(1, 4), _ => random.Next(4, 20) };
}
