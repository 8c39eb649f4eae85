using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>
/// Ours and a peer in turn, each in a process of its own, so that the machine's moods meet both: pairs of samples/s and of
/// peak memory, and the medians of their ratios. The peer is a command that takes WORKLOAD fp32 SECONDS and prints a line
/// like ours.
/// </summary>
internal static partial class CompareVerb
{
    private sealed record Measurement(double SamplesPerSecond, double PeakMegabytes, string Line);

    private sealed record Pair(Measurement Mixed, Measurement Single, Measurement Peer);

    private sealed record Result(string Workload, double MixedToPeer, double SingleToPeer, double MixedToSingle, double MemoryMixedToPeer, IReadOnlyList<Pair> Pairs);

    private sealed record Report(string Date, string Machine, string Runtime, string Peer, double Seconds, IReadOnlyList<Result> Results);

    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true };

    [GeneratedRegex(@"(?<rate>[\d.]+) samples/s\s+peak (?<peak>[\d.]+) MB")]
    private static partial Regex Figures();

    public static int Run(string[] args)
    {
        int pairs = int.Parse(args[0], CultureInfo.InvariantCulture);
        string seconds = args[1], output = args[2], peer = args[3];
        var workloads = args.Length > 4 ? args[4..].Select(Workload.Named) : Workload.All;
        var results = new List<Result>();
        foreach (var workload in workloads)
        {
            var measured = new List<Pair>();
            for (int i = 0; i < pairs; i++)
            {
                var pair = new Pair(Ours(workload, "mixed", seconds), Ours(workload, "single", seconds), Measure(peer, workload.Name, "fp32", seconds));
                measured.Add(pair);
                Console.WriteLine(pair.Mixed.Line);
                Console.WriteLine(pair.Single.Line);
                Console.WriteLine(pair.Peer.Line);
            }
            var result = new Result(workload.Name,
                Median(measured.Select(p => p.Mixed.SamplesPerSecond / p.Peer.SamplesPerSecond)),
                Median(measured.Select(p => p.Single.SamplesPerSecond / p.Peer.SamplesPerSecond)),
                Median(measured.Select(p => p.Mixed.SamplesPerSecond / p.Single.SamplesPerSecond)),
                Median(measured.Select(p => p.Mixed.PeakMegabytes / p.Peer.PeakMegabytes)), measured);
            results.Add(result);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{result.Workload}: mixed/peer {result.MixedToPeer:F2}, single/peer {result.SingleToPeer:F2}, mixed/single {result.MixedToSingle:F2}, memory mixed/peer {result.MemoryMixedToPeer:F2}"));
        }
        using var backend = new CpuBackend(Precision.Mixed);
        var report = new Report(DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture), backend.Device,
            System.Runtime.InteropServices.RuntimeInformation.FrameworkDescription, Path.GetFileName(Path.GetDirectoryName(peer)) ?? peer, double.Parse(seconds, CultureInfo.InvariantCulture), results);
        File.WriteAllText(output, JsonSerializer.Serialize(report, s_json));
        return 0;
    }

    private static Measurement Ours(Workload workload, string precision, string seconds) =>
        Measure(Environment.ProcessPath!, "train", workload.Name, precision, seconds);

    private static Measurement Measure(string command, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardOutput = true })!;
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        string line = text.Split('\n').LastOrDefault(l => Figures().IsMatch(l))
            ?? throw new InvalidOperationException($"{command} {string.Join(' ', arguments)}: expected a line with samples/s and peak memory, got exit code {process.ExitCode} and: {text}");
        var figures = Figures().Match(line);
        return new Measurement(Number("rate"), Number("peak"), line.Trim());

        double Number(string name) => double.Parse(figures.Groups[name].Value, CultureInfo.InvariantCulture);
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
