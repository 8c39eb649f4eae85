namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>Measurements, by verb. Times of single runs mean little on a shared machine: quote the ratios of <c>compare</c>.</summary>
internal static class Program
{
    private static readonly Dictionary<string, (string Usage, Func<string[], int> Run)> s_verbs = new()
    {
        ["train"] = ("train WORKLOAD mixed|single SECONDS [THREADS]   whole training steps: samples/s, peak memory", TrainVerb.Run),
        ["compare"] = ("compare PAIRS SECONDS OUTPUT PEER [WORKLOAD ...]   ours and the peer's command in turn: medians and ratios", CompareVerb.Run),
        ["profile"] = ("profile WORKLOAD mixed|single [STEPS]   the time of each kernel of a step, the median of some steps", ProfileVerb.Run),
        ["plan"] = ("plan WORKLOAD   bytes of the plan in mixed and in single precision", PlanVerb.Run),
        ["gemm"] = ("gemm mixed|single THREADS [LAYER]   the CPU's products of some layers: GFLOP/s beside the core's FMA peak", GemmVerb.Run),
    };

    private static int Main(string[] args)
    {
        if (args.Length > 0 && s_verbs.TryGetValue(args[0], out var verb)) return verb.Run(args[1..]);
        Console.Error.WriteLine("Verbs:");
        foreach (var (_, (usage, _)) in s_verbs) Console.Error.WriteLine("  " + usage);
        Console.Error.WriteLine($"Workloads: {string.Join(", ", Workload.All.Select(w => w.Name))}");
        return 2;
    }
}
