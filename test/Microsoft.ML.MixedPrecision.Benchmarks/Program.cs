namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>Measurements, by verb. Times of single runs mean little on a shared machine: quote the ratios of <c>compare</c>.</summary>
internal static class Program
{
    private static readonly Dictionary<string, (string Usage, Func<string[], int> Run, int Arguments)> s_verbs = new()
    {
        ["train"] = ("train WORKLOAD mixed|single SECONDS [THREADS]   whole training steps: samples/s, peak memory", TrainVerb.Run, 3),
        ["compare"] = ("compare ROUNDS SECONDS OUTPUT PEER TYPE[,TYPE] [WORKLOAD ...]   ours and the peer's command, in each of its types, in turn: medians of ratios", CompareVerb.Run, 5),
        ["scaling"] = ("scaling mixed|single OUTPUT [WORKLOAD ...]   samples/s over batches and threads", ScalingVerb.Run, 2),
        ["profile"] = ("profile WORKLOAD mixed|single [STEPS]   the time of each kernel of a step, the median of some steps", ProfileVerb.Run, 2),
        ["plan"] = ("plan WORKLOAD   bytes of the plan in mixed and in single precision", PlanVerb.Run, 1),
        ["kernels"] = ("kernels mixed|single THREADS [NAME ...]   kernels that memory limits, by BenchmarkDotNet: GB/s beside a copy", KernelsVerb.Run, 2),
        ["bandwidth"] = ("bandwidth mixed|single [MILLIONS] [NAME ...]   kernels that memory limits, on 64 M elements: GB/s, and part of a copy's", BandwidthVerb.Run, 1),
        ["tune"] = ("tune WORKLOAD [WORKLOAD ...]   the products of plans on tensor cores in every layout: what the model chooses beside the fastest", TuneVerb.Run, 1),
        ["gemm"] = ("gemm mixed|single THREADS [squares|N|convolutions|CONVOLUTION|WORKLOAD ...]   products of the workloads' plans, of squares and of ResNet-50: GFLOP/s, on the CPU beside the core's FMA peak", GemmVerb.Run, 2),
    };

    private static int Main(string[] args)
    {
        args = Target.Take(args);
        if (args.Length > 0 && s_verbs.TryGetValue(args[0], out var verb) && args.Length > verb.Arguments) return verb.Run(args[1..]);
        Console.Error.WriteLine("Verbs:");
        foreach (var (_, (usage, _, _)) in s_verbs) Console.Error.WriteLine("  " + usage);
        Console.Error.WriteLine($"Anywhere: {Target.Usage}");
        Console.Error.WriteLine($"Workloads: {string.Join(", ", Workload.All.Select(w => w.Name))}");
        return 2;
    }
}
