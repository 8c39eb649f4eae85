namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Initial weights: a function of seed, parameter and place, whatever the parts that they reach the device in.</summary>
[TestClass]
public sealed class InitializationTests
{
    // 1031 x 1031 weights: a little more than one part of 2^20.
    private const int Width = 1031;

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void A_parameter_of_several_parts_is_one_stream_of_numbers(BackendRow row)
    {
        using var session = Session(row, layers: 1);
        float bound = 1f / MathF.Sqrt(Width);
        foreach (var (i, parameter) in session.Plan.Parameters.Parameters.Index())
        {
            var random = new CounterRandom(session.Plan.Options.Seed, (uint)i);
            float[] expected = [.. Enumerable.Range(0, parameter.Spec.Length).Select(at => (2f * CounterRandom.ToUnit(random.Bits((uint)at)) - 1f) * bound)];
            CollectionAssert.AreEqual(expected, session.ReadParameter(parameter), parameter.Name);
            float[] stored = row.Precision == Precision.Single ? expected : [.. expected.Select(value => (float)(Half)value)];
            CollectionAssert.AreEqual(stored, session.Read(parameter.Weight), parameter.Name);
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Cpu), typeof(BackendMatrix))]
    public void The_host_holds_no_copy_of_the_weights(BackendRow row)
    {
        using (Session(row, layers: 1)) { } // what is compiled once is not counted
        long before = GC.GetAllocatedBytesForCurrentThread();
        using var session = Session(row, layers: 4);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.IsLessThan(2L * Width * Width * sizeof(float), allocated, "4 layers of weights, and less than 2 of them on the managed heap");
    }

    private static TrainingSession Session(BackendRow row, int layers)
    {
        var network = Enumerable.Range(0, layers).Aggregate(Network.Vector(Width), (x, _) => x.Linear(Width));
        return new(PlanBuilder.Build(network, new PlanOptions(1, row.Precision, new MeanSquaredError(), new Sgd(0.1f)) { Seed = 3 }), row.Create());
    }
}
