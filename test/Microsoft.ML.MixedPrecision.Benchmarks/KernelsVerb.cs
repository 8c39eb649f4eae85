using System.Globalization;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Exporters.Json;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Perfolizer.Horology;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>
/// The kernels that memory limits, each alone, by BenchmarkDotNet: what they move in a second, beside a copy of the same size.
/// Each runs on the tensors of a plan, after a step of it, so that its data are real.
/// </summary>
internal static class KernelsVerb
{
    public static int Run(string[] args)
    {
        KernelBenchmarks.Precision = Enum.Parse<Precision>(args[0], ignoreCase: true);
        KernelBenchmarks.Threads = int.Parse(args[1], CultureInfo.InvariantCulture);
        KernelBenchmarks.Wanted = args.Length > 2 ? args[2..] : [];
        // In this process: a generated project would know neither our build nor its locked packages.
        var job = Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance).WithIterationTime(TimeInterval.FromMilliseconds(100)).WithIterationCount(7);
        var config = ManualConfig.CreateEmpty().AddJob(job).AddLogger(ConsoleLogger.Default).AddExporter(MarkdownExporter.GitHub, JsonExporter.Brief)
            .AddColumn(new ParamColumn(nameof(KernelBenchmarks.Kernel)), StatisticColumn.Median, StatisticColumn.Min, new BandwidthColumn())
            .WithSummaryStyle(SummaryStyle.Default.WithMaxParameterColumnWidth(60))
            .WithOptions(ConfigOptions.DisableLogFile);
        var summary = BenchmarkRunner.Run<KernelBenchmarks>(config);
        return summary.Reports.All(report => report.Success) ? 0 : 1;
    }

    /// <summary>10^9 bytes a second at the median: every tensor that the kernel reads or writes, counted once.</summary>
    private sealed class BandwidthColumn : IColumn
    {
        public string Id => "Bandwidth";
        public string ColumnName => "GB/s";
        public bool AlwaysShow => true;
        public ColumnCategory Category => ColumnCategory.Custom;
        public int PriorityInCategory => 0;
        public bool IsNumeric => true;
        public UnitType UnitType => UnitType.Dimensionless;
        public string Legend => "10^9 bytes a second at the median; every tensor read or written, counted once";
        public bool IsAvailable(Summary summary) => true;
        public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;
        public string GetValue(Summary summary, BenchmarkCase benchmarkCase) => GetValue(summary, benchmarkCase, SummaryStyle.Default);

        public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style)
        {
            if (summary[benchmarkCase]?.ResultStatistics is not { } statistics) return "";
            string kernel = (string)benchmarkCase.Parameters[nameof(KernelBenchmarks.Kernel)];
            return (KernelBenchmarks.Bytes(kernel) / statistics.Median).ToString("F1", CultureInfo.InvariantCulture); // bytes by nanoseconds
        }
    }
}

/// <summary>One benchmark, once for each kernel. Public, as BenchmarkDotNet asks.</summary>
public class KernelBenchmarks
{
    private const string Copy = "Copy";
    private const int Pixels = 32, Channels = 32, Batch = 128, Rows = 4096, Width = 2048;

    private static Dictionary<string, (ExecutionPlan Plan, Kernel Kernel)>? s_kernels;
    private IDisposable? _session;
    private Action _run = () => { };

    internal static Precision Precision { get; set; }
    internal static int Threads { get; set; }
    internal static string[] Wanted { get; set; } = [];

    /// <summary>Names of kernels; those that begin with a wanted one.</summary>
    public static IEnumerable<string> Names =>
        Kernels.Keys.Prepend(Copy).Where(name => Wanted.Length == 0 || Wanted.Any(w => name.StartsWith(w, StringComparison.OrdinalIgnoreCase)));

    /// <summary>The kernel that is measured.</summary>
    [ParamsSource(nameof(Names))]
    public string Kernel { get; set; } = "";

    private static Dictionary<string, (ExecutionPlan Plan, Kernel Kernel)> Kernels => s_kernels ??= Find();

    internal static long Bytes(string kernel) => kernel == Copy
        ? 2L * Elements * ElementSize
        : Kernels[kernel].Kernel is var k ? k.Reads.Concat(k.Writes).Distinct().Sum(t => t.Length * Kernels[kernel].Plan.SizeOf(t.Element)) : 0;

    private static int Elements => Batch * Pixels * Pixels * Channels;

    private static int ElementSize => Precision == Precision.Mixed ? 2 : 4;

    /// <summary>Memory, and the step that makes the kernel's inputs.</summary>
    [GlobalSetup]
    public void Setup()
    {
        if (Kernel == Copy)
        {
            byte[] from = new byte[Elements * ElementSize], to = new byte[from.Length];
            var backend = new CpuBackend(Precision, Threads);
            _session = backend;
            _run = backend.For(from.Length, CpuBackend.ElementGrain * ElementSize, (start, end) => from.AsSpan((int)start, (int)(end - start)).CopyTo(to.AsSpan((int)start)));
            return;
        }
        var (plan, kernel) = Kernels[Kernel];
        var cpu = new CpuBackend(Precision, Threads);
        var session = new TrainingSession(plan, cpu);
        session.TrainPass(Workload.RandomBatch(plan.Network, plan.Options.Batch, (int)plan.Output.Length / plan.Options.Batch));
        session.Update();
        _session = session;
        _run = cpu.Bind(kernel);
    }

    /// <summary>The kernel once.</summary>
    [Benchmark]
    public void Run() => _run();

    /// <summary>Frees the memory.</summary>
    [GlobalCleanup]
    public void Cleanup() => _session?.Dispose();

    /// <summary>Layers between others, alone in a plan that joins nothing; then losses, and updates.</summary>
    private static Dictionary<string, (ExecutionPlan, Kernel)> Find()
    {
        var found = new Dictionary<string, (ExecutionPlan, Kernel)>();
        foreach (var (layer, what) in ((Func<Network, Network>, string)[])
            [
                (x => x.Relu(), ""), (x => x.LeakyRelu(), ""), (x => x.Gelu(), ""), (x => x.Silu(), ""), (x => x.Sigmoid(), ""), (x => x.Tanh(), ""), (x => x.Relu6(), ""), (x => x.Hardsigmoid(), ""), (x => x.Hardswish(), ""),
                (x => x.Add(x.Relu()), ""), (x => x.Multiply(x.Relu()), ""), (x => Network.Concat(x, x.Relu()), ""),
                (x => x.BatchNorm(), ""), (x => x.LayerNorm(), ""), (x => x.Softmax(), ""), (x => x.Dropout(), ""),
                (x => x.MaxPool2d(2), ""), (x => x.MaxPool2d(3, 2, 1), "3 by 2"), (x => x.AvgPool2d(2), ""), (x => x.AvgPool2d(3, 2, 1), "3 by 2"), (x => x.GlobalAvgPool2d(), ""),
                (x => x.Conv2d(Channels, 3, padding: 1, groups: Channels), ""),
            ])
        {
            var image = Network.Image(Pixels, Pixels, Channels);
            Collect(layer(image).Flatten(), Batch, new Sgd(), phase => phase is Phase.Forward or Phase.Backward, what);
        }
        foreach (int classes in (int[])[2, 10, 1000])
            Collect(Network.Vector(classes), Rows, new Sgd(), phase => phase is Phase.Loss);
        foreach (Optimizer optimizer in (Optimizer[])[new Sgd(), new Sgd(momentum: 0.9f), new Adam()])
            Collect(Network.Vector(Width).Linear(Width), 16, optimizer, phase => phase is Phase.Update or Phase.Check);
        return found;

        void Collect(Network network, int batch, Optimizer optimizer, Func<Phase, bool> wanted, string what = "")
        {
            var options = new PlanOptions(batch, Precision, new SoftmaxCrossEntropy(), optimizer) { KeepAll = true, InputGradient = true };
            var plan = PlanBuilder.Build(network, options);
            foreach (var step in plan.Train.Concat(plan.Update).Where(step => wanted(step.Phase) && step.Kernel is not MatrixProduct))
            {
                string sizes = string.Join(", ", step.Kernel.Writes.Concat(step.Kernel.Reads).Take(1).Select(t => string.Join('x', t.Dimensions)));
                string windows = what.Length > 0 && step.Kernel.Name.Contains("Pool", StringComparison.Ordinal) ? ", " + what : ""; // of the same sizes
                found.TryAdd($"{step.Kernel.Name} [{sizes}{windows}]", (plan, step.Kernel));
            }
        }
    }
}
