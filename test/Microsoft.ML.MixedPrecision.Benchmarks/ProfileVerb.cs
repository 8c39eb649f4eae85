using System.Globalization;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>Where the time of a step goes: each kernel's median over some steps, the products with their rate.</summary>
internal static class ProfileVerb
{
    public static int Run(string[] args)
    {
        var workload = Workload.Named(args[0]);
        var precision = Enum.Parse<Precision>(args[1], ignoreCase: true);
        int steps = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 15;
        var plan = workload.Plan(precision);
        using var session = new TrainingSession(plan, new CpuBackend(precision));
        var batch = workload.RandomBatch(plan.Network.InputShape.Size);
        session.Profile(batch);
        var runs = Enumerable.Range(0, steps).Select(_ => session.Profile(batch)).ToArray();
        double total = 0;
        for (int i = 0; i < runs[0].Count; i++)
        {
            var step = runs[0][i].Step;
            double microseconds = runs.Select(r => r[i].Time.TotalMicroseconds).Order().ElementAt(steps / 2);
            total += microseconds;
            string rate = step.Kernel is MatrixProduct p ? string.Create(CultureInfo.InvariantCulture, $"{p.M}x{p.K}x{p.N}  {2e-3 * p.M * p.N * p.K / microseconds:F0} GFLOP/s") : "";
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{microseconds,9:F0} us  {step.Layer,-14} {step.Kernel.Name,-30} {rate}"));
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{total,9:F0} us  {workload.Batch / total * 1e6:F0} samples/s"));
        return 0;
    }
}
