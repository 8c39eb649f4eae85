using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>
/// Ours and a peer in turn, each in a process of its own, so that the machine's moods meet all alike: rounds of samples/s and of
/// peak memory, and the medians of their ratios. The peer is a command that takes WORKLOAD TYPE SECONDS and prints a line like
/// ours, once a round for each type asked for; where another batch size than the workload's is asked for, it is the fourth argument.
/// </summary>
internal static partial class CompareVerb
{
    private static readonly string[] s_ours = ["mixed", "single"];
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true };

    private sealed record Measurement(string Who, double SamplesPerSecond, double PeakMegabytes, string Line);

    /// <param name="Of">Ours: mixed or single.</param>
    /// <param name="To">What it is compared with: single, or a type of the peer.</param>
    private sealed record Ratio(string Of, string To, double SamplesPerSecond, double PeakMemory);

    private sealed record Result(string Workload, IReadOnlyList<Ratio> Medians, IReadOnlyList<IReadOnlyList<Measurement>> Rounds);

    private sealed record Report(string Date, string Processor, int Cores, string Device, string Runtime, string Peer, double Seconds, IReadOnlyList<Result> Results);

    [GeneratedRegex(@"(?<rate>[\d.]+) samples/s\s+peak (?<peak>[\d.]+) MB")]
    private static partial Regex Figures();

    public static int Run(string[] args)
    {
        int rounds = int.Parse(args[0], CultureInfo.InvariantCulture);
        string seconds = args[1], output = args[2], peer = args[3];
        string[] types = args[4].Split(',');
        var workloads = args.Length > 5 ? args[5..].Select(Workload.Named) : Workload.Common;
        var results = new List<Result>();
        using var backend = Target.Open(Precision.Mixed);
        foreach (var workload in workloads)
        {
            var measured = new List<IReadOnlyList<Measurement>>();
            for (int round = 0; round < rounds; round++)
            {
                measured.Add(
                [
                    .. s_ours.Select(precision => Measure(precision, Environment.ProcessPath!, ["train", workload.Name, precision, seconds, .. Target.Arguments])),
                    .. types.Select(type => Measure(type, peer, [workload.Name, type, seconds, .. Target.Batch is { } batch ? (string[])[batch.ToString(CultureInfo.InvariantCulture)] : []])),
                ]);
                foreach (var m in measured[^1]) Console.WriteLine(m.Line);
            }
            Ratio[] medians = [Median("mixed", "single"), .. types.Select(type => Median("mixed", type)), .. types.Select(type => Median("single", type))];
            results.Add(new Result(workload.Name, medians, measured));
            foreach (var m in medians)
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{workload.Name}: {m.Of} / {m.To}: samples/s {m.SamplesPerSecond:F2}, peak memory {m.PeakMemory:F2}"));
            // After each workload, so that what was measured is kept if the run is cut off.
            var report = new Report(DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture), Machine.Processor, Environment.ProcessorCount, backend.Device,
                System.Runtime.InteropServices.RuntimeInformation.FrameworkDescription, PeerName(peer), double.Parse(seconds, CultureInfo.InvariantCulture), results);
            File.WriteAllText(output, JsonSerializer.Serialize(report, s_json));

            Ratio Median(string of, string to) => new(of, to, MedianOf(m => m.SamplesPerSecond, of, to), MedianOf(m => m.PeakMegabytes, of, to));

            double MedianOf(Func<Measurement, double> figure, string of, string to) =>
                measured.Select(round => figure(round.First(m => m.Who == of)) / figure(round.First(m => m.Who == to))).Median();
        }
        return 0;
    }

    /// <summary>The command's own name, or its folder's where that says more than "run".</summary>
    private static string PeerName(string peer) =>
        Path.GetFileNameWithoutExtension(peer) is not "run" ? Path.GetFileNameWithoutExtension(peer) : Path.GetFileName(Path.GetDirectoryName(peer)) ?? peer;

    private static Measurement Measure(string who, string command, string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardOutput = true })!;
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        string line = text.Split('\n').LastOrDefault(l => Figures().IsMatch(l))
            ?? throw new InvalidOperationException($"{command} {string.Join(' ', arguments)}: expected a line with samples/s and peak memory, got exit code {process.ExitCode} and: {text}");
        var figures = Figures().Match(line);
        return new Measurement(who, Number("rate"), Number("peak"), line.Trim());

        double Number(string name) => double.Parse(figures.Groups[name].Value, CultureInfo.InvariantCulture);
    }
}
