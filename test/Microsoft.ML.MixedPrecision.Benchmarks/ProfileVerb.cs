using System.Globalization;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>Where the time of a step goes: the table that users see with Options.Profile.</summary>
internal static class ProfileVerb
{
    private const int WarmUp = 20;

    public static int Run(string[] args)
    {
        var workload = Workload.Named(args[0]);
        var precision = Enum.Parse<Precision>(args[1], ignoreCase: true);
        int steps = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : StepProfiler.Samples;
        var plan = workload.Plan(precision);
        using var session = new TrainingSession(plan, Target.Open(precision));
        var batch = workload.RandomBatch(plan.Network);
        var profiler = new StepProfiler(plan, session.Device);
        for (int i = 0; i < WarmUp + steps; i++)
        {
            var timed = i < WarmUp ? null : profiler;
            session.TrainPass(batch, timed);
            session.Update(timed);
        }
        Console.WriteLine(profiler.Result());
        return 0;
    }
}
