namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What attention is for: to bring together what positions far from each other hold.</summary>
[TestClass]
public sealed class SequenceTrainingTests
{
    private const int Length = 12, Kinds = 3, Rows = 64, Steps = 2500;

    /// <summary>Whether the first and the last position are of one kind: no sum of functions of single positions says that.</summary>
    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void An_encoder_compares_the_ends_of_a_sequence(Precision precision)
    {
        var embedded = Network.Sequence(Length, Kinds).Linear(16).PositionalEmbedding();
        double attending = Loss(Architectures.TransformerEncoder(embedded, layers: 1, heads: 2, dropout: 0f), precision);
        double apart = Loss(embedded.Linear(64).Gelu().Linear(16).LayerNorm(), precision);
        Assert.IsLessThan(0.15, attending);
        Assert.IsGreaterThan(0.5, apart); // knowing only that two thirds of the pairs are of one kind: 0.64
    }

    private static double Loss(Network network, Precision precision)
    {
        using var session = Problems.Session(network.GlobalAvgPool1d().Linear(2), precision, Rows, new Adam(3e-3f));
        return Problems.Train(session, Steps, NewBatch);
    }

    private static Batch NewBatch(int step)
    {
        var random = new Random(step);
        var batch = new Batch(Rows, Length * Kinds, 0) { RowCount = Rows };
        for (int row = 0; row < Rows; row++)
        {
            int first = random.Next(Kinds), last = random.Next(2) == 0 ? first : random.Next(Kinds);
            for (int position = 0; position < Length; position++)
            {
                int kind = position == 0 ? first : position == Length - 1 ? last : random.Next(Kinds);
                for (int k = 0; k < Kinds; k++) batch.Features[(row * Length + position) * Kinds + k] = k == kind ? 1 : 0;
            }
            (batch.Classes[row], batch.Weights[row]) = (first == last ? 1 : 0, 1f);
        }
        return batch;
    }
}
