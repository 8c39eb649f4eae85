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
    private double? _best, _reference;
    private int _without;

    /// <summary>The epoch of the best value, from 1; 0 where none was a number.</summary>
    public int BestEpoch { get; private set; }

    public bool Stop => options is not null && _without >= options.Patience;

    /// <returns>Whether the epoch is the best so far.</returns>
    public bool Add(int epoch, double loss, double metric)
    {
        double value = options is null || options.Metric == EarlyStoppingMetric.Loss ? loss : metric;
        if (Better(value, _reference, options?.MinimumChange ?? 0f)) (_reference, _without) = (value, 0);
        else _without++;
        if (!Better(value, _best, 0)) return false;
        (_best, BestEpoch) = (value, epoch);
        return true;
    }

    /// <summary>False for NaN; true for the first number.</summary>
    private bool Better(double value, double? than, float change) =>
        !double.IsNaN(value) && (than is not { } old || (_more ? value > old && value - old >= change : value < old && old - value >= change));
}
