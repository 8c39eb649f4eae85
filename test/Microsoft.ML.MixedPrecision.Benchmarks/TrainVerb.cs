using System.Diagnostics;
using System.Globalization;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>Whole training steps for some seconds, upload of the batch included.</summary>
internal static class TrainVerb
{
    public static int Run(string[] args)
    {
        var workload = Workload.Named(args[0]);
        var precision = Enum.Parse<Precision>(args[1], ignoreCase: true);
        double seconds = double.Parse(args[2], CultureInfo.InvariantCulture);
        int threads = args.Length > 3 ? int.Parse(args[3], CultureInfo.InvariantCulture) : 0;

        var plan = workload.Plan(precision);
        using var session = new TrainingSession(plan, new CpuBackend(precision, threads));
        var batch = workload.RandomBatch(plan.Network.InputShape.Size);
        Step();
        Step();
        long samples = 0;
        int steps = 0;
        var clock = Stopwatch.StartNew();
        StepReport report = default;
        while (clock.Elapsed.TotalSeconds < seconds)
        {
            Step();
            samples += workload.Batch;
            if (++steps % 100 == 0) report = session.ReadReport();
        }
        session.Synchronize();
        double rate = samples / clock.Elapsed.TotalSeconds;
        report = report.Passes > 0 ? report : session.ReadReport();
        double peak = Process.GetCurrentProcess().PeakWorkingSet64 / 1e6;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"mixedprecision {workload.Name} {args[1]} {rate:F1} samples/s  peak {peak:F0} MB  loss {report.LossSum / report.WeightSum:F3}"));
        return 0;

        void Step()
        {
            session.TrainPass(batch);
            session.Update();
        }
    }
}
