namespace Microsoft.ML.MixedPrecision;

/// <summary>Where a training runs, and why.</summary>
/// <param name="Reason">For the log and the report.</param>
/// <param name="Open">A fresh backend in a precision.</param>
internal sealed record DeviceChoice(string Reason, Func<Precision, Backend> Open)
{
    public static DeviceChoice Cpu(int threads) => new("no GPU was asked for", precision => new CpuBackend(precision, threads));
}
