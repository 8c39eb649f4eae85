using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>
/// How the cost of a training step grows: samples/s over batches of 1 to 1024 and over threads. The thread counts take turns in
/// bursts, so that a neighbour on the machine disturbs all alike; each figure is the median of its bursts.
/// </summary>
internal static class ScalingVerb
{
    private const int LargestBatch = 1024, Bursts = 7;
    private const double BurstSeconds = 0.25;

    private sealed record Row(int Batch, IReadOnlyList<double> SamplesPerSecond);

    private sealed record Table(string Workload, IReadOnlyList<int> Threads, IReadOnlyList<Row> Rows);

    private sealed record Report(string Date, string Processor, string Precision, IReadOnlyList<Table> Tables);

    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true };

    public static int Run(string[] args)
    {
        var precision = Enum.Parse<Precision>(args[0], ignoreCase: true);
        var workloads = args.Length > 2 ? args[2..] : ["mlp", "cnn"];
        int[] threads = [.. Enumerable.Range(0, 16).Select(i => 1 << i).Where(t => t <= Environment.ProcessorCount)];
        var tables = new List<Table>();
        foreach (string name in workloads)
        {
            var rows = new List<Row>();
            Console.WriteLine($"{name,-12}{string.Concat(threads.Select(t => $"{t + (t == 1 ? " thread" : " threads"),14}"))}   ratio of the last to the first");
            for (int batch = 1; batch <= LargestBatch; batch *= 2)
            {
                double[] rates = Measure(Workload.Named(name) with { Batch = batch }, precision, threads);
                rows.Add(new Row(batch, rates));
                Console.WriteLine($"{batch,-12}{string.Concat(rates.Select(r => r.ToString("N0", CultureInfo.InvariantCulture).PadLeft(14)))}   {(rates[^1] / rates[0]).ToString("F2", CultureInfo.InvariantCulture)}");
            }
            tables.Add(new Table(name, threads, rows));
        }
        var report = new Report(DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture), Machine.Processor, precision.ToString(), tables);
        File.WriteAllText(args[1], JsonSerializer.Serialize(report, s_json));
        return 0;
    }

    private static double[] Measure(Workload workload, Precision precision, int[] threads)
    {
        TrainingSession[] sessions = [.. threads.Select(t => new TrainingSession(workload.Plan(precision), new CpuBackend(precision, t)))];
        var batch = workload.RandomBatch(sessions[0].Plan.Network);
        var rates = threads.Select(_ => new List<double>()).ToArray();
        for (int burst = -1; burst < Bursts; burst++) // the first warms up
            foreach (var (i, session) in sessions.Index())
            {
                double rate = Burst(session, batch);
                if (burst >= 0) rates[i].Add(rate);
            }
        foreach (var session in sessions) session.Dispose();
        return [.. rates.Select(r => r.Median())];
    }

    private static double Burst(TrainingSession session, Batch batch)
    {
        long start = Stopwatch.GetTimestamp();
        for (int steps = 1; ; steps++)
        {
            session.TrainPass(batch);
            session.Update();
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            if (seconds < BurstSeconds) continue;
            session.ReadReport(); // empties the log
            return steps * batch.RowCount / seconds;
        }
    }
}
