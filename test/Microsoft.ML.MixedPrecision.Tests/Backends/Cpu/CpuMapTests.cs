namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Functions of elements at the same places: bit for bit what they are, wherever an element stands.</summary>
[TestClass, TestCategory("VectorWidth")]
public sealed class CpuMapTests
{
    private const int Length = 2100, Part = 7; // two blocks that become floats at once, three vectors and four elements more

    private static readonly float[] s_input = Values(seed: 1), s_gradient = Values(seed: 2);

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void Elements_give_the_same_in_long_tensors_and_in_short_ones(Precision precision)
    {
        foreach (var (name, apply) in ((string, Func<Network, Network>)[])
            [
                ("Relu", x => x.Relu()), ("LeakyRelu", x => x.LeakyRelu(0.3f)), ("Sigmoid", x => x.Sigmoid()), ("Tanh", x => x.Tanh()), ("Silu", x => x.Silu()), ("Gelu", x => x.Gelu()), ("Relu6", x => x.Relu6()), ("Hardsigmoid", x => x.Hardsigmoid()), ("Hardswish", x => x.Hardswish()),
                ("Multiply", x => x * x.Gelu()), ("Add", x => x + x.Gelu()), ("Add and Relu", x => (x.Silu() + x.Relu()).Relu()),
                ("Add and Relu's gradient", x => OfTwoBranches(x.Relu())),
            ])
        {
            using TrainingSession whole = Plan(apply, Length, precision), parts = Plan(apply, Part, precision);
            var (y, dx) = Run(whole, s_input, s_gradient);
            for (int at = 0; at < Length; at += Part)
            {
                var (expectedY, expectedDx) = Run(parts, s_input[at..(at + Part)], s_gradient[at..(at + Part)]);
                CollectionAssert.AreEqual(expectedY, y[at..(at + Part)], $"{name}, y from {at}");
                CollectionAssert.AreEqual(expectedDx, dx[at..(at + Part)], $"{name}, dx from {at}");
            }
        }
    }

    private static Network OfTwoBranches(Network x) => x.Gelu() + x.Silu();

    private static TrainingSession Plan(Func<Network, Network> apply, int length, Precision precision) => new(
        PlanBuilder.Build(apply(Network.Vector(length)), new PlanOptions(1, precision, new PlantedGradient(), new Sgd()) { InputGradient = true }), new CpuBackend(precision, threads: 1), poison: false);

    private static (float[] Y, float[] Dx) Run(TrainingSession session, float[] input, float[] gradient)
    {
        var batch = new Batch(1, input.Length, input.Length) { RowCount = 1 };
        input.CopyTo(batch.Features, 0);
        gradient.CopyTo(batch.Values, 0);
        session.TrainPass(batch);
        return (session.Read(session.Plan.Output), session.Read(session.Plan.InputGradient!));
    }

    private static float[] Values(int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, Length).Select(_ => (random.NextSingle() - 0.5f) * 12)];
    }
}
