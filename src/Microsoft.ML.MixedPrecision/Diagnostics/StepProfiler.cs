using System.Diagnostics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A clock around every kernel of a training's own steps: the same actions in the same order, each waited for. It costs the
/// waiting (on a GPU one launch for each kernel, on a CPU some 20 ns) and changes no bit.
/// </summary>
internal sealed class StepProfiler(ExecutionPlan plan, string device)
{
    /// <summary>Updates that are timed: their median forgives a neighbour on the machine.</summary>
    public const int Samples = 15;

    /// <summary>Updates before the first that is timed: by then the runtime has compiled the kernels for good.</summary>
    public const int WarmUp = 50;

    private readonly PlanStep[] _steps = [.. plan.Train, .. plan.Update];
    private readonly Dictionary<PlanStep, List<double>> _microseconds = plan.Train.Concat(plan.Update).ToDictionary(step => step, _ => new List<double>(Samples));

    /// <summary>The updates of a training that are timed: after the warm-up, or the last ones of a training that is shorter.</summary>
    public static (int First, int Count) Window(int updates)
    {
        int count = Math.Min(Samples, updates);
        return (Math.Min(WarmUp, updates - count), count);
    }

    /// <summary>Runs a bound list of steps.</summary>
    public void Run(IReadOnlyList<BoundStep> steps, Backend backend)
    {
        foreach (var (work, step) in steps)
        {
            backend.Synchronize();
            long start = Stopwatch.GetTimestamp();
            work.Run();
            backend.Synchronize();
            long ticks = Stopwatch.GetTimestamp() - start; // a TimeSpan has tenths of a microsecond only, and there are kernels of three
            if (step is not null) _microseconds[step].Add(ticks * 1e6 / Stopwatch.Frequency);
        }
    }

    /// <summary>The median of each kernel; null where one was never timed, because the training ended before.</summary>
    public TrainingProfile? Result()
    {
        if (_microseconds.Values.Any(times => times.Count == 0)) return null;
        double[] medians = [.. _steps.Select(step => Median(_microseconds[step]))];
        double total = medians.Sum();
        return new TrainingProfile
        {
            Device = device,
            BatchSize = plan.Options.Batch,
            Batches = _microseconds[plan.Train[0]].Count,
            Microseconds = total,
            Kernels = [.. _steps.Zip(medians, (step, time) => new KernelProfile(step.Layer, step.Kernel.Name, time, time / total, Bytes(step.Kernel), step.Kernel.FloatingPointOperations))],
        };
    }

    /// <summary>Every tensor that is read or written, once; nothing for tables of which a step touches a few numbers.</summary>
    private long Bytes(Kernel kernel)
    {
        Tensor[] tables = [plan.Control.Counters, plan.Control.Scales, plan.Control.Log, plan.Coefficients];
        return kernel.Reads.Concat(kernel.Writes).Where(t => !tables.Contains(t.Owner)).Sum(t => t.Length * plan.SizeOf(t.Element));
    }

    private static double Median(List<double> times)
    {
        double[] sorted = [.. times.Order()];
        return (sorted[sorted.Length / 2] + sorted[(sorted.Length - 1) / 2]) / 2;
    }
}

/// <summary>A step of a plan on a device.</summary>
/// <param name="Work">Runs it.</param>
/// <param name="Step">Null for what is no step of the plan: the poison of a check.</param>
internal readonly record struct BoundStep(Work Work, PlanStep? Step);
