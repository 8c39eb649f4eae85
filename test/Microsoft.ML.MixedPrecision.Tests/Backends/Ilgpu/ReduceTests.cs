using ILGPU;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The reduction by groups, against the order that it promises: bit for bit.</summary>
[TestClass]
public sealed class ReduceTests
{
    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void A_reduction_has_its_fixed_order(BackendRow row)
    {
        const int Segments = 7, Longest = 333;
        using var backend = (IlgpuBackend)row.Create();
        backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = 4 * Segments * Longest, [Region.Staging] = 4096 });
        var x = new Tensor("x", ElementType.Single, Region.Activations, Segments * Longest) { ArenaOffset = 0 };
        var lengths = new Tensor("lengths", ElementType.Int32, Region.Staging, Segments) { ArenaOffset = 0 };
        var sums = new Tensor("sums", ElementType.Single, Region.Staging, Segments) { ArenaOffset = 256 };
        var smallest = new Tensor("smallest", ElementType.Int32, Region.Staging, Segments) { ArenaOffset = 512 };
        var random = new Random(3);
        var values = new float[x.Length];
        for (int i = 0; i < values.Length; i++) values[i] = (float)(random.NextDouble() - 0.5) * MathF.Pow(10f, random.Next(-4, 5));
        int[] items = [0, 1, 63, 64, 65, 200, Longest];
        backend.Upload(x, values);
        backend.Upload(lengths, items);
        backend.Reduce<SumAndPlace, Value, Arguments>(Segments, new Arguments(
            backend.View<float>(x), backend.View<int>(lengths), backend.View<float>(sums), backend.View<int>(smallest), Longest))();

        var actual = new float[Segments];
        var places = new int[Segments];
        backend.Download(sums, actual);
        backend.Download(smallest, places);
        for (int s = 0; s < Segments; s++)
        {
            var segment = values.AsSpan(s * Longest, items[s]);
            Assert.AreEqual(BitConverter.SingleToUInt32Bits(Expected(segment)), BitConverter.SingleToUInt32Bits(actual[s]), $"sum of {items[s]}");
            int place = int.MaxValue;
            for (int i = segment.Length - 1; i >= 0; i--) if (segment[i] > 1f) place = i;
            Assert.AreEqual(place, places[s], $"first above 1 of {items[s]}");
        }
    }

    private static float Expected(ReadOnlySpan<float> values, int lines = IlgpuBackend.ReductionThreads)
    {
        var totals = new float[lines];
        for (int i = 0; i < values.Length; i++) totals[i % lines] += values[i];
        for (int stride = lines / 2; stride > 0; stride /= 2)
            for (int t = 0; t < stride; t++) totals[t] += totals[t + stride];
        return totals[0];
    }

    [TestMethod]
    [DataRow(100, 2048, 1)]
    [DataRow(2048 * 2048, 2048, 2048)]
    [DataRow(2048 * 2048 + 1, 4096, 1025)]
    [DataRow(100_000_000, 16384, 6104)]
    public void The_gradient_scan_has_parts_enough_for_a_GPU_and_few_enough_to_add(int parameters, int partLength, int parts)
    {
        var scan = new GradientScan(new Tensor("gradients", ElementType.Working, Region.Parameters, parameters));
        Assert.AreEqual((partLength, parts), (scan.PartLength, scan.Parts));
    }

    /// <summary>Line l of a group takes items l, l + lines ..., and a tree adds the lines.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Parts_are_joined_in_their_fixed_order(BackendRow row)
    {
        foreach (var (segments, items, lines) in ((int, int, int)[])[(257, 75, 32), (700, 30, 16), (4099, 20, 8), (5, 1, 1), (5, 7, 1), (9, 16, 1), (5, 17, 256), (3, 333, 256), (256, 1100, 256)])
            Joins((IlgpuBackend)row.Create(), segments, items, lines);
    }

    [TestMethod]
    public void A_device_with_small_groups_joins_parts_in_those()
    {
        foreach (var (segments, items, lines) in ((int, int, int)[])[(5, 17, 64), (3, 333, 64), (257, 75, 32)]) Joins(new IlgpuBackend(Precision.Single, new SmallGroups()), segments, items, lines);
    }

    private static void Joins(IlgpuBackend backend, int segments, int items, int lines)
    {
        using (backend)
        {
            backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = 4L * segments * items, [Region.Staging] = 4 * segments });
            var x = new Tensor("x", ElementType.Single, Region.Activations, items, segments) { ArenaOffset = 0 };
            var sums = new Tensor("sums", ElementType.Single, Region.Staging, segments) { ArenaOffset = 0 };
            var random = new Random(3);
            float[] values = [.. Enumerable.Range(0, items * segments).Select(_ => (float)(random.NextDouble() - 0.5) * MathF.Pow(10f, random.Next(-4, 5)))], actual = new float[segments];
            backend.Upload(x, values);
            backend.ReduceParts<PartTotals, float, PartArguments>(segments, items, new(segments, items, backend.View<float>(x), backend.View<float>(sums)))();
            backend.Download(sums, actual);
            for (int s = 0; s < segments; s++)
            {
                float expected = Expected([.. Enumerable.Range(0, items).Select(i => values[i * segments + s])], lines);
                Assert.AreEqual(BitConverter.SingleToUInt32Bits(expected), BitConverter.SingleToUInt32Bits(actual[s]), $"segment {s} of {segments}, {items} items");
            }
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_gradient_scan_finds_the_first_that_is_not_finite(BackendRow row)
    {
        const int Length = 2 * 2048 + 77;
        using var backend = row.Create();
        var gradients = new Tensor("gradients", ElementType.Working, Region.Parameters, Length) { ArenaOffset = 0 };
        var scan = new GradientScan(gradients);
        Assert.AreEqual(2048, scan.PartLength);
        (scan.SquareSums.ArenaOffset, scan.FirstBad.ArenaOffset) = (0, 256);
        backend.Allocate(new Dictionary<Region, long> { [Region.Parameters] = 4 * Length, [Region.Activations] = 512 });
        var values = new float[Length];
        Array.Fill(values, 0.5f);
        backend.Upload(gradients, values);
        var run = backend.Bind(scan);
        run();
        var sums = new float[scan.Parts];
        var bad = new int[scan.Parts];
        backend.Download(scan.SquareSums, sums);
        backend.Download(scan.FirstBad, bad);
        CollectionAssert.AreEqual(new[] { 2048 / 4f, 2048 / 4f, 77 / 4f }, sums);
        CollectionAssert.AreEqual(new[] { GradientScan.AllFinite, GradientScan.AllFinite, GradientScan.AllFinite }, bad);

        (values[100], values[99], values[70], values[Length - 1]) = (float.NaN, float.PositiveInfinity, float.MaxValue, float.NegativeInfinity);
        int first = row.Precision == Precision.Mixed ? 70 : 99; // half has no such number
        backend.Upload(gradients, values);
        run();
        backend.Download(scan.FirstBad, bad);
        CollectionAssert.AreEqual(new[] { first, GradientScan.AllFinite, Length - 1 }, bad);
    }

    /// <summary>The simulator, as a device that allows 64 threads in a group.</summary>
    private sealed class SmallGroups() : IlgpuDevice(Simulator.Accelerator, Simulator.Accelerator, new(() => throw new InvalidOperationException("A group is too large.")), "small groups")
    {
        public override int MostThreads => 64;
    }

    internal readonly record struct Arguments(ArrayView<float> X, ArrayView<int> Lengths, ArrayView<float> Sums, ArrayView<int> Places, int Pitch);

    internal readonly record struct Value(float Sum, int Place);

    internal readonly record struct PartArguments(int Segments, int Items, ArrayView<float> X, ArrayView<float> Sums);

    internal readonly struct PartTotals : IGpuReduction<float, PartArguments>
    {
        public static float Nothing => 0f;
        public static int Items(PartArguments a, int segment) => a.Items;
        public static float Load(PartArguments a, int segment, int item) => a.X[item * a.Segments + segment];
        public static float Combine(float x, float y) => x + y;
        public static void Store(PartArguments a, int segment, float total) => a.Sums[segment] = total;
    }

    internal readonly struct SumAndPlace : IGpuReduction<Value, Arguments>
    {
        public static Value Nothing => new(0f, int.MaxValue);
        public static int Items(Arguments a, int segment) => a.Lengths[segment];

        public static Value Load(Arguments a, int segment, int item)
        {
            float x = a.X[segment * a.Pitch + item];
            return new(x, x > 1f ? item : int.MaxValue);
        }

        public static Value Combine(Value x, Value y) => new(x.Sum + y.Sum, Math.Min(x.Place, y.Place));

        public static void Store(Arguments a, int segment, Value total)
        {
            a.Sums[segment] = total.Sum;
            a.Places[segment] = total.Place;
        }
    }
}
