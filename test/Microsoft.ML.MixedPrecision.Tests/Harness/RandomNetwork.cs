namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Networks that nobody thought of: a seed gives a small one, of any ops in any order with any options that fit.</summary>
internal static class RandomNetwork
{
    /// <summary>An image, a sequence, tokens or a vector, up to eight ops with branches among them, and a vector of <paramref name="outputs"/> at the end.</summary>
    public static Network Of(int seed, int outputs)
    {
        var random = new Random(seed);
        var x = random.Next(7) switch
        {
            0 => Network.Vector(random.Next(1, 40)),
            6 => OfTokens(Network.Tokens(random.Next(1, 20), random.Next(2, 50)), random),
            1 or 2 => Network.Sequence(random.Next(1, 20), Channels(random)),
            _ => Network.Image(random.Next(1, 10), random.Next(1, 10), Channels(random), random.Next(2) == 0 ? PixelOrder.Planar : PixelOrder.Interleaved),
        };
        return From(x, random).Linear(outputs, bias: random.Next(2) == 0);
    }

    /// <summary>The ops, behind an input; a vector at the end.</summary>
    public static Network From(Network x, Random random)
    {
        for (int ops = random.Next(1, 9); ops > 0; ops--) x = Next(x, random);
        return x.Flatten();
    }

    private static Network Next(Network x, Random random) => random.Next(5) switch
    {
        0 => Element(x, random),
        1 => Branches(x, random),
        2 => random.Next(3) switch { 0 => x.BatchNorm(), 1 => x.LayerNorm(), _ => x.Softmax() },
        _ when x.Shape.IsImage => OfImage(x, random),
        3 when x.Shape.IsSequence => OfSequence(x, random),
        _ => Element(x.Linear(random.Next(1, 40), bias: random.Next(2) == 0), random),
    };

    private static Network OfTokens(TokenInput tokens, Random random)
    {
        var x = tokens.Embedding(Channels(random));
        return random.Next(5) switch { 0 => x.SelfAttention(1, mask: tokens), 3 => x.Linear(Channels(random)).LastToken(tokens), 1 => x.GlobalAvgPool1d(tokens), 2 => Network.Concat(x, tokens.Embedding(Channels(random))), _ => x };
    }

    private static Network OfSequence(Network x, Random random)
    {
        int features = x.Shape.Channels, length = x.Shape.Length;
        return random.Next(7) switch
        {
            6 => length > 1 ? x.Lstm(random.Next(1, 20), returnSequence: random.Next(2) == 0) : x,
            0 => x.PositionalEmbedding(),
            1 => x.Conv1d(Channels(random), random.Next(1, length + 1), random.Next(1, 3)),
            2 => length > 1 ? x.MaxPool1d(2) : x.GlobalAvgPool1d(),
            _ => x.SelfAttention(Enumerable.Range(1, Math.Min(features, 8)).Where(h => features % h == 0).OrderBy(_ => random.Next()).First(), bias: random.Next(2) == 0),
        };
    }

    private static Network Element(Network x, Random random) => random.Next(10) switch
    {
        0 => x.Gelu(),
        1 => x.Silu(),
        2 => x.Sigmoid(),
        3 => x.Tanh(),
        4 => x.LeakyRelu(0.1f),
        5 => x.Dropout(0.3f),
        _ => x.Relu(),
    };

    private static Network Branches(Network x, Random random)
    {
        var other = Element(x, random);
        return random.Next(3) switch { 0 => x + other, 1 => x.Multiply(other), _ => Network.Concat(x, other) };
    }

    private static Network OfImage(Network x, Random random)
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
                return Element(x.Conv2d(groups * random.Next(1, 9), kernel, stride, padding, groups: groups, bias: random.Next(2) == 0), random);
            default: return Element(x.Conv2d(Channels(random), kernel, stride, padding, bias: random.Next(2) == 0), random);
        }
    }

    /// <summary>Few, whole vectors, or neither.</summary>
    private static int Channels(Random random) => random.Next(3) switch { 0 => random.Next(1, 4), 1 => 8 * random.Next(1, 4), _ => random.Next(4, 20) };
}
