namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>What a measurement was taken on, and the middle of many.</summary>
internal static class Machine
{
    /// <summary>The processor's name as Linux tells it; elsewhere the architecture.</summary>
    public static string Processor { get; } = (File.Exists("/proc/cpuinfo") ? File.ReadLines("/proc/cpuinfo") : [])
        .Where(l => l.StartsWith("model name", StringComparison.Ordinal) || l.StartsWith("cpu family", StringComparison.Ordinal))
        .Select(l => l[(l.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim()).Take(2).Reverse().ToArray() is [var name, var family]
            ? $"{name}, family {family}"
            : System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture.ToString();

    public static double Median(this IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
