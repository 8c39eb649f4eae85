using System.Globalization;
using System.Text;

namespace Microsoft.ML.MixedPrecision;

/// <summary>A profile as text: a line for each op with the sum of its kernels, under it the kernels (one alone has no sum), and at the end the whole step.</summary>
internal static class ProfilePrinter
{
    public static string Print(TrainingProfile profile)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"Profile: one batch of {profile.BatchSize} rows and one update on {profile.Device}, median of {profile.Batches}\n");
        text.Append("  time (us)    share        MB      GB/s   GFLOP/s  layer and kernel\n");
        foreach (var op in profile.Kernels.GroupBy(k => Op(k.Kernel)).OrderByDescending(g => g.Sum(k => k.Microseconds)))
        {
            string indent = op.Skip(1).Any() ? "  " : "";
            if (indent.Length > 0) Sum(text, op, op.Key);
            foreach (var kernel in op) Line(text, kernel, $"{indent}{(kernel.Layer.Length > 0 ? kernel.Layer + ": " : "")}{kernel.Kernel}");
        }
        Sum(text, profile.Kernels, string.Create(CultureInfo.InvariantCulture, $"Total: {profile.BatchSize / profile.Microseconds * 1e6:N0} rows/s"));
        return text.ToString().TrimEnd('\n');
    }

    /// <summary>"Conv2d" of "Conv2d.Forward".</summary>
    private static string Op(string kernel) => kernel.Split('.')[0];

    private static void Sum(StringBuilder text, IEnumerable<KernelProfile> kernels, string title) =>
        Line(text, new KernelProfile("", "", kernels.Sum(k => k.Microseconds), kernels.Sum(k => k.Share), kernels.Sum(k => k.Bytes), kernels.Sum(k => k.FloatingPointOperations)), title);

    private static void Line(StringBuilder text, KernelProfile k, string title) =>
        text.Append(CultureInfo.InvariantCulture,
            $"{k.Microseconds,11:F1}{100 * k.Share,7:F1} %{k.Bytes / 1e6,10:F3}{k.GigabytesPerSecond,10:F1}{(k.FloatingPointOperations > 0 ? k.GigaflopsPerSecond.ToString("F1", CultureInfo.InvariantCulture) : ""),10}  {title}\n");
}
