namespace Microsoft.ML.MixedPrecision;

/// <summary>How the learning rate changes over a training: a factor of <see cref="Optimizer.LearningRate"/> for each applied update.</summary>
public abstract record Schedule
{
    private protected Schedule() { }

    /// <summary>The same rate throughout.</summary>
    public static Schedule Constant() => new ConstantSchedule();

    /// <summary>The factor of the learning rate at an update.</summary>
    /// <param name="update">Updates applied before, from 0.</param>
    /// <param name="totalUpdates">Updates in the whole training.</param>
    internal abstract double Factor(int update, int totalUpdates);
}

/// <summary>The same rate throughout.</summary>
public sealed record ConstantSchedule : Schedule
{
    internal override double Factor(int update, int totalUpdates) => 1;
}
