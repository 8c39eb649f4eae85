using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>
/// The CPU's matrix product by itself: the three products of a layer's training step, as its op binds them. A burst of the
/// register tile alone (the core's FMA peak) stands beside each measurement, so that a slower clock or a neighbour on the
/// core shows in both. The best burst of each counts: what disturbs only adds time.
/// </summary>
internal static unsafe class GemmVerb
{
    private const int FewestRounds = 9;
    private const double BurstSeconds = 0.002; // less than a scheduler's slice: some bursts run undisturbed
    private const double ProductSeconds = 0.3;

    public static int Run(string[] args)
    {
        var precision = Enum.Parse<Precision>(args[0], ignoreCase: true);
        int threads = int.Parse(args[1], CultureInfo.InvariantCulture);
        string only = args.Length > 2 ? args[2] : "";
        Console.WriteLine($"{"",-26}{"ms",10}{"GFLOP/s",10}{"median",8}{"% of peak",11}");
        foreach (var (name, flop, products) in Layers())
        {
            if (!name.StartsWith(only, StringComparison.OrdinalIgnoreCase)) continue;
            foreach (var (pass, product) in products) Show($"{name} {pass}", flop, product, precision, threads);
        }
        return 0;
    }

    /// <summary>FLOP are those of the layer's definition, the same for each of its products: what is multiplied with padding counts as lost.</summary>
    private static IEnumerable<(string Name, double Flop, (string Pass, MatrixProduct Product)[] Products)> Layers()
    {
        foreach (int n in (int[])[64, 256, 512, 1024, 2048]) yield return ($"{n}^3", 2.0 * n * n * n, [Products(n, n, n)[0]]);
        foreach (var (batch, inputs, outputs) in ((int, int, int)[])[(128, 784, 512), (128, 512, 256), (128, 256, 10), (128, 9216, 128), (32, 32, 64)])
            yield return ($"linear {batch}x{inputs}x{outputs}", 2.0 * batch * inputs * outputs, Products(batch, inputs, outputs));
        (string, Conv2dGeometry)[] convolutions =
        [
            ("conv 28 1->32", new(128, 28, 28, 1, 32, new(3, 1, 0, 1), 1)),
            ("conv 26 32->64", new(128, 26, 26, 32, 64, new(3, 1, 0, 1), 1)),
            ("conv 32 16->16", new(64, 32, 32, 16, 16, new(3, 1, 1, 1), 1)),
            ("conv 16 32->32", new(64, 16, 16, 32, 32, new(3, 1, 1, 1), 1)),
            ("conv 8 64->64", new(64, 8, 8, 64, 64, new(3, 1, 1, 1), 1)),
            ("conv 32 16->32 /2", new(64, 32, 32, 16, 32, new(3, 2, 1, 1), 1)),
        ];
        foreach (var (name, g) in convolutions) yield return (name, 2.0 * g.OutPixels * g.Patch * g.Filters, Products(g));
    }

    private static (string, MatrixProduct)[] Products(int batch, int inputs, int outputs)
    {
        Tensor x = Working("x", batch * inputs), w = Working("w", inputs * outputs), y = Working("y", batch * outputs), bias = Working("bias", outputs);
        return
        [
            ("forward", new MatrixProduct("Forward", new DenseOperand(x, batch, inputs, 0, inputs, false), new DenseOperand(w, inputs, outputs, 0, outputs, false), y, 0, outputs, bias)),
            ("dW", new MatrixProduct("dW", new DenseOperand(x, inputs, batch, 0, inputs, true), new DenseOperand(y, batch, outputs, 0, outputs, false), w, 0, outputs)),
            ("dX", new MatrixProduct("dX", new DenseOperand(y, batch, outputs, 0, outputs, false), new DenseOperand(w, outputs, inputs, 0, outputs, true), x, 0, inputs)),
        ];
    }

    private static (string, MatrixProduct)[] Products(Conv2dGeometry g)
    {
        Tensor x = Working("x", g.InPixels * g.Channels), w = Working("w", (int)g.GroupWeights), y = Working("y", g.OutPixels * g.Filters), bias = Working("bias", g.Filters);
        return
        [
            ("forward", new MatrixProduct("Forward", new PatchesOperand(x, g, 0, false), new DenseOperand(w, g.Patch, g.Filters, 0, g.Filters, false), y, 0, g.Filters, bias)),
            ("dW", new MatrixProduct("dW", new PatchesOperand(x, g, 0, true), new DenseOperand(y, g.OutPixels, g.Filters, 0, g.Filters, false), w, 0, g.Filters)),
            ("dX", new MatrixProduct("dX", new GradientPatchesOperand(y, g, 0), new ReversedTapsOperand(w, g, 0), x, 0, g.Channels)),
        ];
    }

    private static Tensor Working(string name, int length) => new(name, ElementType.Working, Region.Activations, length);

    private static void Show(string name, double flop, MatrixProduct product, Precision precision, int threads)
    {
        using var backend = new CpuBackend(precision, threads);
        Tensor[] inputs = product.Bias is { } bias ? [product.A.Source, product.B.Source, bias] : [product.A.Source, product.B.Source];
        backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = MemoryPlanner.PlaceInOrder([.. inputs, product.C], t => t.Length * backend.SizeOf(t.Element)) });
        foreach (var tensor in inputs) backend.Upload(tensor, [.. Enumerable.Range(0, (int)tensor.Length).Select(i => (i * 7919L % 1000 - 500) * 0.001f)]);

        var action = backend.Bind(product);
        List<double> bursts = [], peaks = [];
        for (long start = Stopwatch.GetTimestamp(); bursts.Count < FewestRounds || Stopwatch.GetElapsedTime(start).TotalSeconds < ProductSeconds;)
        {
            peaks.Add(Burst(s_peak));
            bursts.Add(Burst(action));
        }
        double best = bursts.Min(), median = bursts.Order().ElementAt(bursts.Count / 2);
        double peak = PeakFlop / peaks.Min() * Math.Min(backend.Threads, WorkerPool.Shared.Threads);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-26}{best * 1e3,10:F4}{flop / best / 1e9,10:F1}{flop / median / 1e9,8:F1}{100 * flop / best / peak,11:F0}"));
    }

    /// <summary>Seconds a call, over calls that fill a burst.</summary>
    private static double Burst(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        for (int calls = 1; ; calls++)
        {
            action();
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            if (seconds >= BurstSeconds) return seconds / calls;
        }
    }

    private const int PeakDepth = 256, PeakCalls = 50;
    private static readonly Action s_peak = Vector512.IsHardwareAccelerated ? Peak<Tile8x3<Lane512>>() : Vector256.IsHardwareAccelerated ? Peak<Tile6x2<Lane256>>() : Peak<Tile6x4<Lane128>>();
    private static double PeakFlop => 2.0 * PeakDepth * PeakCalls * (Vector512.IsHardwareAccelerated ? 8 * 48 : 6 * 16);

    /// <summary>Tiles on panels that stay in L1.</summary>
    private static Action Peak<TTile>() where TTile : struct, ITile
    {
        const int floats = 48 * (PeakDepth + 16);
        var memory = (float*)NativeMemory.AlignedAlloc(3 * floats * sizeof(float), 64);
        NativeMemory.Clear(memory, 3 * floats * sizeof(float));
        return () =>
        {
            for (int i = 0; i < PeakCalls; i++) TTile.Multiply<ByRow>(Walk.Along(PeakDepth, 1, TTile.Columns), memory, memory + floats, memory + 2 * floats, true);
        };
    }
}
