using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>
/// The CPU's matrix products by themselves: of squares, and of the workloads' training plans, each shape once, as the plan
/// has them, with what is joined to them. A burst of the register tile alone (the core's FMA peak) stands beside each
/// measurement, so that a slower clock or a neighbour on the core shows in both. The best burst of each counts: what disturbs
/// only adds time.
/// </summary>
internal static unsafe class GemmVerb
{
    private const int FewestRounds = 9;
    private const double BurstSeconds = 0.002; // less than a scheduler's slice: some bursts run undisturbed
    private const double ProductSeconds = 0.3;
    private const string Squares = "squares";

    public static int Run(string[] args)
    {
        var precision = Enum.Parse<Precision>(args[0], ignoreCase: true);
        int threads = int.Parse(args[1], CultureInfo.InvariantCulture);
        foreach (string name in args.Length > 2 ? args[2..] : [Squares, .. Workload.Common.Select(w => w.Name)])
        {
            if (DeviceProducts.Run(name, precision)) continue;
            Console.WriteLine($"{name,-34}{"m",8}{"n",6}{"k",7}{"ms",10}{"GFLOP/s",10}{"median",8}{"% of peak",11}");
            if (name == Squares) ShowSquares(precision, threads);
            else ShowPlan(Workload.Named(name), precision, threads);
        }
        return 0;
    }

    /// <summary>The products of a training step, on the data of a step.</summary>
    private static void ShowPlan(Workload workload, Precision precision, int threads)
    {
        var plan = workload.Plan(precision);
        var backend = new CpuBackend(precision, threads);
        using var session = new TrainingSession(plan, backend);
        session.TrainPass(workload.RandomBatch(plan.Network));
        var products = plan.Train.Where(step => step.Kernel is MatrixProduct).Select(step => (step.Layer, Product: (MatrixProduct)step.Kernel));
        foreach (var group in products.GroupBy(p => Shape(p.Product)))
        {
            var (layer, product) = group.First();
            string pass = product.Name.Split(' ')[0].Split('.')[^1];
            string times = group.Count() > 1 ? $" x{group.Count()}" : "";
            Show($"{layer} {pass}{times}", product, backend);
        }
    }

    /// <summary>What two products have in common that do the same work on other tensors.</summary>
    private static object Shape(MatrixProduct p) => (p.M, p.N, p.K, Operand(p.A), Operand(p.B), p.Bias is null, p.Next?.Name);

    private static object Operand(MatrixOperand operand) => operand switch
    {
        DenseOperand dense => dense.Transposed,
        PatchesOperand patches => (patches.Geometry, patches.Transposed),
        GradientPatchesOperand gradient => gradient.Geometry,
        ReversedTapsOperand taps => taps.Geometry,
        _ => throw new NotSupportedException($"Expected an operand that is known here, got {operand}."),
    };

    private static void ShowSquares(Precision precision, int threads)
    {
        foreach (int n in (int[])[64, 256, 512, 1024, 2048])
        {
            using var backend = new CpuBackend(precision, threads);
            Tensor a = Square("a"), b = Square("b"), c = Square("c");
            backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = MemoryPlanner.PlaceInOrder([a, b, c], t => t.Length * backend.SizeOf(t.Element)) });
            foreach (var tensor in (Tensor[])[a, b]) backend.Upload(tensor, [.. Enumerable.Range(0, n * n).Select(i => (i * 7919L % 1000 - 500) * 0.001f)]);
            Show("", new MatrixProduct("Forward", new DenseOperand(a, n, n, 0, n, false), new DenseOperand(b, n, n, 0, n, false), c, 0, n), backend);

            Tensor Square(string name) => new(name, ElementType.Working, Region.Activations, n, n);
        }
    }

    private static void Show(string name, MatrixProduct product, CpuBackend backend)
    {
        var action = backend.Bind(product);
        List<double> bursts = [], peaks = [];
        for (long start = Stopwatch.GetTimestamp(); bursts.Count < FewestRounds || Stopwatch.GetElapsedTime(start).TotalSeconds < ProductSeconds;)
        {
            peaks.Add(Burst(s_peak));
            bursts.Add(Burst(action));
        }
        double best = bursts.Min(), median = bursts.Median(), flop = product.FloatingPointOperations;
        double peak = PeakFlop / peaks.Min() * Math.Min(backend.Threads, WorkerPool.Shared.Threads);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{name,-34}{product.M,8}{product.N,6}{product.K,7}{best * 1e3,10:F4}{flop / best / 1e9,10:F1}{flop / median / 1e9,8:F1}{100 * flop / best / peak,11:F0}"));
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
