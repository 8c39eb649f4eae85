using System.Globalization;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>
/// Matrix products by name: a number is a square of that size, "convolutions" are those of ResNet-50, each shape once, in all three passes, of which
/// "conv 3x3/1 7x7x512 to 512 weight gradient" or a beginning of that chooses. On a GPU a workload's name, too: the products of its plan. What <see cref="GemmVerb"/> measures against the CPU's peak is not here.
/// </summary>
internal static class DeviceProducts
{
    private const int ResNetBatch = 128;

    /// <summary>Whether the name was one of these.</summary>
    public static bool Run(string name, Precision precision)
    {
        if (int.TryParse(name, CultureInfo.InvariantCulture, out int size)) Square(precision, size);
        else if (name == "convolutions") Convolutions(precision, "conv");
        else if (name.StartsWith("conv ", StringComparison.Ordinal)) Convolutions(precision, name);
        else if (Target.IsCpu) return false;
        else if (name == "squares") foreach (int n in (int[])[1024, 2048, 4096, 8192]) Square(precision, n);
        else Products(Workload.Named(name), precision);
        return true;
    }

    private static void Square(Precision precision, int n)
    {
        using var backend = Target.Open(precision);
        Tensor a = New("a"), b = New("b"), c = New("c");
        backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = MemoryPlanner.PlaceInOrder([a, b, c], t => t.Length * backend.SizeOf(t.Element)) });
        foreach (var tensor in (Tensor[])[a, b]) Fill(tensor, values => backend.Upload(values.Part, values.Values));
        var product = new MatrixProduct("Forward", new DenseOperand(a, n, n, 0, n, false), new DenseOperand(b, n, n, 0, n, false), c, 0, n);
        Show($"{(precision == Precision.Single ? "single " : "")}matmul {n}", Timing.Seconds(backend, backend.Bind(product)), product.FloatingPointOperations);

        Tensor New(string name) => new(name, ElementType.Working, Region.Activations, n, n);
    }

    private static void Products(Workload workload, Precision precision)
    {
        var plan = workload.Plan(precision);
        var backend = Target.Open(precision);
        using var session = new TrainingSession(plan, backend);
        session.TrainPass(workload.RandomBatch(plan.Network));
        foreach (var step in plan.Train.Where(step => step.Kernel is MatrixProduct))
        {
            var product = (MatrixProduct)step.Kernel;
            Show($"{step.Layer} {product.Name.Split('.')[^1]} {product.M}x{product.N}x{product.K}", Timing.Seconds(backend, backend.Bind(product)), product.FloatingPointOperations);
        }
    }

    /// <summary>Each in a plan of its own that joins nothing, so that no other layer's work is in the time.</summary>
    private static void Convolutions(Precision precision, string chosen)
    {
        foreach (var c in ResNet50().Distinct())
        {
            if (!Chosen($"{c}") && !chosen.StartsWith($"{c} ", StringComparison.Ordinal)) continue;
            var network = Network.Image(c.Size, c.Size, c.Channels).Conv2d(c.Filters, c.Kernel, c.Stride, padding: c.Kernel / 2, bias: false, name: "conv").GlobalAvgPool2d();
            var plan = PlanBuilder.Build(network, new PlanOptions(Target.Batch ?? ResNetBatch, precision, new SoftmaxCrossEntropy(), new Sgd()) { KeepAll = true, InputGradient = true });
            var backend = Target.Open(precision);
            using var session = new TrainingSession(plan, backend);
            var steps = plan.Train.Where(step => step.Layer == "conv" && step.Phase is (Phase.Forward or Phase.Backward)).ToArray();
            foreach (var tensor in steps.SelectMany(step => step.Kernel.Reads).Where(t => t.Element == ElementType.Working).Distinct())
                Fill(tensor, values => backend.Upload(values.Part, values.Values));
            foreach (var pass in steps.GroupBy(Pass).Where(pass => Chosen($"{c} {pass.Key}")))
            {
                Action[] actions = [.. pass.Select(step => backend.Bind(step.Kernel))];
                Show($"{c} {pass.Key}", Timing.Seconds(backend, () => { foreach (var action in actions) action(); }), pass.Sum(step => (double)step.Kernel.FloatingPointOperations));
            }
        }

        bool Chosen(string name) => name.StartsWith(chosen, StringComparison.Ordinal);
    }

    private static string Pass(PlanStep step) => step.Phase == Phase.Forward ? "forward"
        : step.Kernel.Name.Contains("WeightGradient", StringComparison.Ordinal) ? "weight gradient" : "input gradient";

    /// <summary>The 1x1 and 3x3 convolutions of Architectures.ResNet50, in their order.</summary>
    private static IEnumerable<Convolution> ResNet50()
    {
        var (size, channels) = (56, 64);
        foreach (var (filters, blocks) in ((int, int)[])[(64, 3), (128, 4), (256, 6), (512, 3)])
        {
            for (int block = 0; block < blocks; block++)
            {
                int stride = block == 0 && filters > 64 ? 2 : 1;
                yield return new(1, 1, size, channels, filters);
                yield return new(3, stride, size, filters, filters);
                yield return new(1, 1, size / stride, filters, 4 * filters);
                if (block == 0) yield return new(1, stride, size, channels, 4 * filters);
                (size, channels) = (size / stride, 4 * filters);
            }
        }
    }

    /// <summary>Normal values would take the host longer than the device takes for all the rest; zeros would flatter it.</summary>
    private static void Fill(Tensor tensor, Action<(Tensor Part, float[] Values)> upload)
    {
        var random = new Random(1);
        float[] values = [.. Enumerable.Range(0, (int)Math.Min(1 << 20, tensor.Length)).Select(_ => (float)random.NextDouble() - 0.5f)];
        for (long start = 0; start < tensor.Length; start += values.Length)
        {
            int length = (int)Math.Min(values.Length, tensor.Length - start);
            upload((tensor.Slice(tensor.Name, start, length), values[..length]));
        }
    }

    private static void Show(string name, double seconds, double flop)
    {
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-52}{seconds * 1e3,10:F4} ms{flop / seconds / 1e9,12:F1} GFLOP/s"));
        Target.Record(name, seconds, 0, flop);
    }

    private sealed record Convolution(int Kernel, int Stride, int Size, int Channels, int Filters)
    {
        public override string ToString() => $"conv {Kernel}x{Kernel}/{Stride} {Size}x{Size}x{Channels} to {Filters}";
    }
}
