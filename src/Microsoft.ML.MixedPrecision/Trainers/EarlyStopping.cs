namespace Microsoft.ML.MixedPrecision;

/// <summary>What of the validation is watched.</summary>
public enum EarlyStoppingMetric
{
    /// <summary>The loss; less is better.</summary>
    Loss,

    /// <summary>The share of rows (by weight) whose class is predicted, 0 to 1; more is better. For classification.</summary>
    Accuracy,

    /// <summary>The mean absolute error of the scores, in the label's unit; less is better. For regression.</summary>
    MeanAbsoluteError,
}

/// <summary>Ends a training when its validation no longer improves.</summary>
/// <param name="Metric">What is watched; the loss by default.</param>
/// <param name="Patience">Epochs without improvement after which the training ends; 5 by default, at least 1.</param>
/// <param name="MinimumChange">By how much a value must be better than the best so far to count as an improvement; 0 by default, at least 0.</param>
/// <param name="RestoreBest">Whether the model is that of the best epoch; if not, that of the last one. True by default.</param>
public sealed record EarlyStopping(EarlyStoppingMetric Metric = EarlyStoppingMetric.Loss, int Patience = 5, float MinimumChange = 0f, bool RestoreBest = true)
{
    internal void Validate()
    {
        if (!Enum.IsDefined(Metric)) throw Invalid(nameof(Metric), Metric, "Loss, Accuracy or MeanAbsoluteError");
        if (Patience < 1) throw Invalid(nameof(Patience), Patience, "at least 1 epoch");
        if (!(MinimumChange >= 0f && float.IsFinite(MinimumChange))) throw Invalid(nameof(MinimumChange), MinimumChange, "a finite value of at least 0");
    }

    /// <exception cref="ArgumentOutOfRangeException">The metric is not one of the task.</exception>
    internal void Validate(ScoringTask task)
    {
        bool classes = task is ScoringTask.Binary or ScoringTask.Multiclass;
        if (Metric == EarlyStoppingMetric.Accuracy && !classes) throw Invalid(nameof(Metric), Metric, "Loss or MeanAbsoluteError for a regression");
        if (Metric == EarlyStoppingMetric.MeanAbsoluteError && classes) throw Invalid(nameof(Metric), Metric, "Loss or Accuracy for a classification");
    }

    private static ArgumentOutOfRangeException Invalid(string name, object value, string expected) =>
        BadArgument.Of(nameof(EarlyStopping), FormattableString.Invariant($"EarlyStopping.{name}: expected {expected}, got {value}."));
}

/// <summary>Keeps the best value of a validation, and says when to stop.</summary>
internal sealed class StoppingRule(EarlyStopping? options)
{
    private readonly bool _more = options?.Metric == EarlyStoppingMetric.Accuracy;

    /// <summary>What it remembers.</summary>
    public StoppingState State { get; set; } = new(double.NaN, double.NaN, 0, 0);

    /// <summary>The epoch of the best value, from 1; 0 where none was a number.</summary>
    public int BestEpoch => State.BestEpoch;

    public bool Stop => options is not null && State.Without >= options.Patience;

    /// <returns>Whether the epoch is the best so far.</returns>
    public bool Add(int epoch, double loss, double metric)
    {
        double value = options is null || options.Metric == EarlyStoppingMetric.Loss ? loss : metric;
        State = Better(value, State.Reference, options?.MinimumChange ?? 0f) ? State with { Reference = value, Without = 0 } : State with { Without = State.Without + 1 };
        if (!Better(value, State.Best, 0)) return false;
        State = State with { Best = value, BestEpoch = epoch };
        return true;
    }

    /// <summary>False for NaN; true for the first number.</summary>
    private bool Better(double value, double than, float change) =>
        !double.IsNaN(value) && (double.IsNaN(than) || (_more ? value > than && value - than >= change : value < than && than - value >= change));
}

/// <summary>What a <see cref="StoppingRule"/> remembers.</summary>
/// <param name="Best">The best value; NaN before the first number.</param>
/// <param name="Reference">The last value that was an improvement by enough; NaN before the first number.</param>
/// <param name="Without">Epochs since then.</param>
/// <param name="BestEpoch">That of the best value, from 1; 0 before.</param>
internal sealed record StoppingState(double Best, double Reference, int Without, int BestEpoch);
