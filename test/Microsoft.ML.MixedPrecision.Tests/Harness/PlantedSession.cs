namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// A training whose gradients are given: w of [1, n], x = 1, so that what is planted at the output is the gradient of w, with
/// the loss scale it is meant to have. Plant halves, and scales that are powers of two: then nothing is rounded.
/// </summary>
internal sealed class PlantedSession : IDisposable
{
    private readonly Batch _batch;

    /// <param name="weights">To start from.</param>
    /// <param name="poison">Off: a planted loss leaves its rows to memory that nothing else uses.</param>
    public PlantedSession(BackendRow row, float[] weights, Optimizer optimizer, Func<PlanOptions, PlanOptions>? change = null)
    {
        var options = new PlanOptions(1, row.Precision, new PlantedGradient(), optimizer) { TotalUpdates = 16, KeepAll = true };
        Session = new TrainingSession(PlanBuilder.Build(Network.Vector(1).Linear(weights.Length, bias: false), change?.Invoke(options) ?? options), row.Create(), poison: false);
        Session.SetParameter(Weight, weights);
        _batch = new Batch(1, 1, weights.Length) { RowCount = 1 };
        (_batch.Features[0], _batch.Weights[0]) = (1f, 1f);
    }

    public TrainingSession Session { get; }

    public float[] Masters => Session.ReadParameter(Weight);

    /// <summary>The working copy.</summary>
    public float[] Weights => Session.Read(Weight.Weight);

    public float[][] State => [.. Session.Plan.Parameters.State.Select(s => Session.Read(s)[..Weights.Length])];

    private PlannedParameter Weight => Session.Plan.Parameters.Parameters[0];

    /// <summary>One pass and one update with a gradient, times the loss scale of now.</summary>
    public StepReport Step(params ReadOnlySpan<float> gradient)
    {
        Pass(gradient);
        Session.Update();
        return Session.ReadReport();
    }

    /// <summary>Forward and backward alone.</summary>
    public void Pass(params ReadOnlySpan<float> gradient)
    {
        float scale = Session.ReadReport().Scale;
        for (int i = 0; i < gradient.Length; i++) _batch.Values[i] = gradient[i] * scale;
        Session.TrainPass(_batch);
    }

    /// <summary>A step whose first gradient is infinite.</summary>
    public StepReport Overflow()
    {
        var gradient = new float[_batch.Values.Length];
        gradient[0] = float.PositiveInfinity;
        return Step(gradient);
    }

    public void Dispose() => Session.Dispose();
}
