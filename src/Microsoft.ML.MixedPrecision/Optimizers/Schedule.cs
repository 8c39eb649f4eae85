using System.Globalization;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// How the learning rate changes over a training: a factor of <see cref="Optimizer.LearningRate"/> for each update. Updates
/// are counted from 0 and only where they were applied: one that was skipped because a gradient overflowed leaves the rate
/// where it is.
/// </summary>
/// <remarks>
/// Every schedule can start with a linear warm-up of W updates: update u &lt; W has (u + 1) / (W + 1) of the factor that the
/// schedule starts with, as PyTorch's LinearLR(start_factor = 1 / (W + 1), total_iters = W). What follows is stretched over the
/// updates that are left. A warm-up that is longer than the training is allowed, and never ends.
/// </remarks>
public abstract record Schedule
{
    private readonly int _warmup;

    private protected Schedule(int warmup)
    {
        if (warmup < 0) throw OutOfRange(nameof(warmup), warmup, "a number of updates of at least 0");
        _warmup = warmup;
    }

    /// <summary>The same rate throughout.</summary>
    /// <param name="warmup">Updates of linear warm-up; 0 by default, at least 0.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="warmup"/> is outside its range.</exception>
    public static Schedule Constant(int warmup = 0) => new ConstantSchedule(warmup);

    /// <summary>
    /// The rate is multiplied with gamma again and again: gamma^floor(epoch / <paramref name="epochs"/>), with epochs from 0, as
    /// PyTorch's StepLR stepped once an epoch. The epochs of a warm-up count.
    /// </summary>
    /// <param name="epochs">Epochs between two steps, at least 1.</param>
    /// <param name="gamma">The factor of a step; 0.1 by default, above 0 and at most 1.</param>
    /// <param name="warmup">Updates of linear warm-up; 0 by default, at least 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public static Schedule Step(int epochs, double gamma = 0.1, int warmup = 0) => new StepSchedule(epochs, gamma, warmup);

    /// <summary>
    /// From 1 down to a minimum m, along half a cosine: m + (1 - m) (1 + cos(pi u / N)) / 2 at update u of N, the warm-up left
    /// out; as PyTorch's CosineAnnealingLR(T_max = N) stepped at every update (Loshchilov and Hutter, SGDR, 2017, without
    /// restarts). The minimum would be the factor of update N, so that the last update, N - 1, still learns with a minimum of 0.
    /// </summary>
    /// <param name="minimum">The factor at the end; 0 by default, from 0 to 1.</param>
    /// <param name="warmup">Updates of linear warm-up; 0 by default, at least 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public static Schedule Cosine(double minimum = 0, int warmup = 0) => new CosineSchedule(minimum, warmup);

    /// <summary>
    /// Up to <see cref="Optimizer.LearningRate"/> and down again, along two half cosines, as PyTorch's OneCycleLR with
    /// anneal_strategy "cos", whose max_lr is that rate (Smith and Topin, Super-Convergence, 2018): from 1 / initialDivisor at
    /// update 0 to 1 at update risingShare N - 1, then to 1 / (initialDivisor finalDivisor) at update N - 1, the last of N, the
    /// warm-up left out. Between a and b, at the share p of the way: b + (a - b) (1 + cos(pi p)) / 2. Momentum is not cycled.
    /// </summary>
    /// <param name="risingShare">The part of the updates in which the rate rises, PyTorch's pct_start; 0.3 by default, from 0 to 1.</param>
    /// <param name="initialDivisor">The highest rate over the first one, PyTorch's div_factor; 25 by default, finite, at least 1.</param>
    /// <param name="finalDivisor">The first rate over the last one, PyTorch's final_div_factor; 10000 by default, finite, at least 1.</param>
    /// <param name="warmup">Updates of linear warm-up, up to the first rate; 0 by default, at least 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public static Schedule OneCycle(double risingShare = 0.3, double initialDivisor = 25, double finalDivisor = 1e4, int warmup = 0) =>
        new OneCycleSchedule(risingShare, initialDivisor, finalDivisor, warmup);

    /// <summary>The factor of the learning rate at an update.</summary>
    /// <param name="update">Updates applied before, from 0.</param>
    internal double Factor(int update, TrainingLength training)
    {
        // Where the warm-up takes it all it leads to where the whole training would have begun.
        int updates = _warmup < training.Updates ? training.Updates - _warmup : training.Updates;
        return Math.Min(1, (update + 1.0) / (_warmup + 1.0)) * Course(Math.Max(0, update - _warmup), updates, training.Epoch(update));
    }

    /// <summary>The factor after the warm-up.</summary>
    /// <param name="update">Of those after the warm-up, from 0; 0 during it.</param>
    /// <param name="updates">After the warm-up, at least 1.</param>
    /// <param name="epoch">Of the whole training, from 0.</param>
    private protected abstract double Course(int update, int updates, long epoch);

    private protected static double Expect(bool valid, string name, double value, string expected) => valid ? value : throw OutOfRange(name, value, expected);

    /// <summary>From a to b along half a cosine.</summary>
    private protected static double Anneal(double from, double to, double share) => to + (from - to) * (1 + Math.Cos(Math.PI * share)) / 2;

    private static ArgumentOutOfRangeException OutOfRange(string name, double value, string expected) =>
        new(name, value, string.Create(CultureInfo.InvariantCulture, $"{name}: expected {expected}, got {value}."));
}

/// <summary>How long a training is, for schedules.</summary>
/// <param name="Updates">If none is skipped.</param>
/// <param name="PassesPerEpoch">Batches of an epoch.</param>
/// <param name="PassesPerUpdate">Batches whose gradients make an update; an update may reach into the next epoch.</param>
internal readonly record struct TrainingLength(int Updates, long PassesPerEpoch, int PassesPerUpdate)
{
    /// <summary>The epoch, from 0, in which an update's first pass lies.</summary>
    public long Epoch(int update) => (long)update * PassesPerUpdate / PassesPerEpoch;
}

internal sealed record ConstantSchedule(int Warmup) : Schedule(Warmup)
{
    private protected override double Course(int update, int updates, long epoch) => 1;
}

internal sealed record StepSchedule(int Epochs, double Gamma, int Warmup) : Schedule(Warmup)
{
    private readonly int _epochs = (int)Expect(Epochs >= 1, "epochs", Epochs, "at least 1 epoch between two steps");
    private readonly double _gamma = Expect(Gamma > 0 && Gamma <= 1, "gamma", Gamma, "a factor above 0 and at most 1");

    private protected override double Course(int update, int updates, long epoch) => Math.Pow(_gamma, epoch / _epochs);
}

internal sealed record CosineSchedule(double Minimum, int Warmup) : Schedule(Warmup)
{
    private readonly double _minimum = Expect(Minimum >= 0 && Minimum <= 1, "minimum", Minimum, "a factor from 0 to 1");

    private protected override double Course(int update, int updates, long epoch) => Anneal(1, _minimum, (double)update / updates);
}

internal sealed record OneCycleSchedule(double RisingShare, double InitialDivisor, double FinalDivisor, int Warmup) : Schedule(Warmup)
{
    private readonly double _risingShare = Expect(RisingShare >= 0 && RisingShare <= 1, "risingShare", RisingShare, "a share from 0 to 1");
    private readonly double _first = 1 / Expect(InitialDivisor >= 1 && double.IsFinite(InitialDivisor), "initialDivisor", InitialDivisor, "a finite value of at least 1");
    private readonly double _last = 1 / InitialDivisor / Expect(FinalDivisor >= 1 && double.IsFinite(FinalDivisor), "finalDivisor", FinalDivisor, "a finite value of at least 1");

    private protected override double Course(int update, int updates, long epoch)
    {
        double peak = _risingShare * updates - 1, end = updates - 1; // PyTorch's; the peak may lie between two updates, or before the first
        if (update <= peak) return peak > 0 ? Anneal(_first, 1, update / peak) : 1;
        return Anneal(1, _last, (update - peak) / (end - peak));
    }
}
