using System.Diagnostics;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>
/// How long a kernel takes on a device that works on its own: bursts of calls, of which only the end is waited for, so that the time of a launch hides
/// behind the kernel before it. The median of the bursts counts.
/// </summary>
internal static class Timing
{
    private const int MostBursts = 7, FewestBursts = 3;
    private const double BurstSeconds = 0.02, QuickSeconds = 0.003, MostSeconds = 1;

    /// <summary>Seconds of one call. The first calls warm up: they compile, and grow the bursts.</summary>
    public static double Seconds(Backend backend, Action run) => Seconds(backend, run, BurstSeconds, MostBursts);

    /// <summary>The same of fewer and shorter bursts, where many layouts are compared.</summary>
    public static double Quick(Backend backend, Action run) => Seconds(backend, run, QuickSeconds, FewestBursts);

    private static double Seconds(Backend backend, Action run, double burstSeconds, int mostBursts)
    {
        run();
        backend.Synchronize();
        int calls = 1;
        while (Burst() * calls < burstSeconds) calls *= 2;
        var bursts = new List<double>();
        for (long start = Stopwatch.GetTimestamp(); bursts.Count < FewestBursts || (bursts.Count < mostBursts && Stopwatch.GetElapsedTime(start).TotalSeconds < MostSeconds);)
            bursts.Add(Burst());
        return bursts.Median();

        double Burst()
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < calls; i++) run();
            backend.Synchronize();
            return Stopwatch.GetElapsedTime(start).TotalSeconds / calls;
        }
    }
}
