namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Networks that start from values, as if they had learned.</summary>
internal static class Learned
{
    /// <summary>Weights and running means in ±1, running variances and whatever else is a buffer from 0.5 to 1.5.</summary>
    public static Network Of(Network network, int seed = 1)
    {
        var random = new Random(seed);
        return network.StartingFrom(node => new(
            [.. node.Op!.Parameters(node.InputShapes).Select(p => Values(p.Length, -1))],
            [.. node.Op.Buffers(node.InputShapes).Select(b => Values(b.Length, b.Name == "RunningMean" ? -1 : 0.5f))]));

        float[] Values(int length, float least) => [.. Enumerable.Range(0, length).Select(_ => least + random.NextSingle() * (least < 0 ? 2 : 1))];
    }
}
