using System.Diagnostics;
using System.Globalization;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>
/// Whole training steps for some seconds; on a GPU the data are there. A device that works on its own is waited for a few times a second, not after each step,
/// and never runs further behind.
/// </summary>
internal static class TrainVerb
{
    private const int WarmUp = 3;
    private const double BurstSeconds = 0.2;

    public static int Run(string[] args)
    {
        var workload = Workload.Named(args[0]);
        var precision = Enum.Parse<Precision>(args[1], ignoreCase: true);
        double seconds = double.Parse(args[2], CultureInfo.InvariantCulture);
        int threads = args.Length > 3 ? int.Parse(args[3], CultureInfo.InvariantCulture) : 0;

        var plan = workload.Plan(precision);
        using var session = new TrainingSession(plan, Target.Open(precision, threads));
        var data = new ResidentBatches(workload, session);
        StepReport report = default;
        int burst = 1;
        for (int i = 0; i < WarmUp; i++) Burst(); // the first compiles, on a CPU others again
        while (Burst() < BurstSeconds && burst < TrainingSession.PassesBetweenReports) burst = Math.Min(2 * burst, TrainingSession.PassesBetweenReports);
        long steps = 0;
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed.TotalSeconds < seconds)
        {
            Burst();
            steps += burst;
        }
        double rate = steps * workload.Batch / clock.Elapsed.TotalSeconds;
        // On the CPU the process, on a GPU the plan: all that it takes there.
        double peak = Target.IsCpu ? Process.GetCurrentProcess().PeakWorkingSet64 / 1e6 : plan.TotalBytes / 1e6;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"mixedprecision {workload.Name} {args[1]} {rate:F1} samples/s  peak {peak:F0} MB  loss {report.LossSum / report.WeightSum:F3}"));
        return 0;

        double Burst()
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < burst; i++) data.Step();
            report = session.ReadReport();
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
    }
}
