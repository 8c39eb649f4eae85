namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Multiply by a vector of the channels.</summary>
[TestClass, TestCategory("VectorWidth")]
public sealed class ChannelGateTests
{
    /// <summary>By the largest of each channel: the gate has a gradient of its own, and the branches share an input.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Equals_its_reference_in_both_directions(BackendRow row)
    {
        foreach (int channels in (ReadOnlySpan<int>)[3, 8, 16, 21]) // by element, by eight, a whole vector and not
        {
            foreach (bool image in (ReadOnlySpan<bool>)[true, false])
            {
                var x = image ? Network.Image(2, 3, channels, PixelOrder.Interleaved) : Network.Sequence(6, channels);
                OpCheck.Run(row.Create(), x.Multiply(image ? x.GlobalAvgPool2d() : x.GlobalAvgPool1d()), v => [.. v.Input.Chunk(6 * channels).SelectMany(example =>
                {
                    double[] means = [.. Enumerable.Range(0, channels).Select(c => Enumerable.Range(0, 6).Sum(p => example[p * channels + c]) / 6)];
                    return example.Select((e, i) => e * means[i % channels]);
                })], roundings: 4);
            }
        }
    }

    [TestMethod]
    public void Exports()
    {
        var image = Network.Image(4, 3, 5);
        ExportHarness.Run(new CpuBackend(Precision.Mixed), image.Multiply(image.GlobalAvgPool2d().Linear(5).Sigmoid()).Flatten());
        var sequence = Network.Sequence(4, 5);
        ExportHarness.Run(new CpuBackend(Precision.Mixed), sequence.Multiply(sequence.GlobalAvgPool1d().Linear(5).Sigmoid()).Flatten());
    }

    [TestMethod]
    public void Takes_a_vector_of_the_channels_and_nothing_else()
    {
        var x = Network.Image(2, 2, 3);
        Assert.AreEqual(x.Shape, (x * x.GlobalAvgPool2d()).Shape);
        foreach (var other in (Network[])[x.GlobalAvgPool2d().Linear(4), x.Conv2d(1, 1)])
            Assert.AreEqual($"Multiply 'a': expected two branches of one shape, 2x2x3, or a vector of its 3 channels, got {other.Shape}; bring the second branch to the shape of the first.", Assert.ThrowsExactly<ArgumentException>(() => x.Multiply(other, "a")).Message);
        Assert.Contains("expected two branches of one shape, 3, got 2x2x3", Assert.ThrowsExactly<ArgumentException>(() => x.GlobalAvgPool2d().Multiply(x)).Message);
    }
}
