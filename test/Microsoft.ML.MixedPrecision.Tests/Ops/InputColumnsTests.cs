namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass, TestCategory("VectorWidth")]
public sealed class InputColumnsTests
{
    /// <summary>Numbers beyond and below a vector of sixteen; the gradient of what follows both parts.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Rows_come_apart_into_numbers_and_tokens(BackendRow row)
    {
        foreach (var (numbers, length, features) in ((int, int, int)[])[(1, 1, 1), (3, 4, 2), (19, 2, 8)])
        {
            int width = numbers + length;
            var random = new Random(numbers);
            float[] input = [.. Enumerable.Range(0, 3 * width).Select(i => i % width < numbers ? 2 * random.NextSingle() - 1 : random.Next(1, 6))];
            var table = Network.Table(numbers, length, vocabulary: 6);
            OpCheck.Run(row.Create(), Network.Concat(table.Numbers, table.Tokens.Embedding(features).Flatten()), v => [.. v.Input.Chunk(width).SelectMany(x =>
                x.Take(numbers).Concat(x.Skip(numbers).SelectMany(token => v.Parameters[0].Skip((int)token * features).Take(features))))], batch: 3, rows: 2, input: input);
        }
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Exports(Precision precision)
    {
        var table = Network.Table(3, 2, 4000);
        ExportHarness.Run(new CpuBackend(precision), Network.Concat(table.Numbers.Linear(2), table.Tokens.Embedding(3).Flatten()).Relu().Linear(2));
        ExportHarness.Run(new CpuBackend(precision), table.Tokens.Embedding(3).GlobalAvgPool1d(table.Tokens)); // and no numbers
        ExportHarness.Run(new CpuBackend(precision), table.Numbers.Linear(2)); // and no tokens
    }

    [TestMethod]
    public void Has_shapes_and_ranges()
    {
        var table = Network.Table(3, 2, 40);
        Assert.AreEqual((Shape.Vector(3), 2, 40), (table.Numbers.Shape, table.Tokens.Length, table.Tokens.Vocabulary));
        Assert.AreEqual(Shape.Sequence(2, 7), table.Tokens.Embedding(7).Shape);
        foreach (Action wrong in (Action[])[() => Network.Table(0, 1, 2), () => Network.Table(1, 0, 2), () => Network.Table(1, 1, 1), () => Network.Table(1, 1, (1 << 24) + 1)])
            Assert.ThrowsExactly<ArgumentOutOfRangeException>(wrong);
    }
}
