namespace Microsoft.ML.MixedPrecision;

/// <summary>What a plan is compiled for, beside the network.</summary>
internal sealed record PlanOptions(int Batch, Precision Precision, Loss Loss, Optimizer Optimizer)
{
    /// <summary>How the loss is scaled; ignored in single precision, where it is 1.</summary>
    public LossScale LossScale { get; init; } = LossScale.Dynamic();

    /// <summary>Forward-backward passes whose gradients are averaged into one update.</summary>
    public int AccumulationSteps { get; init; } = 1;

    /// <summary>The L2 norm that the unscaled gradient is cut to; infinity for no clipping.</summary>
    public float ClipNorm { get; init; } = float.PositiveInfinity;

    /// <summary>Updates in the whole training: the length of the table of learning rates.</summary>
    public int TotalUpdates { get; init; } = 1;

    /// <summary>Batches of an epoch, for schedules that count epochs.</summary>
    public long PassesPerEpoch { get; init; } = 1;

    /// <summary>What schedules go by.</summary>
    public TrainingLength Length => new(TotalUpdates, PassesPerEpoch, AccumulationSteps);

    public Schedule Schedule { get; init; } = Schedule.Constant();

    /// <summary>What the optimizer multiplies with at each update: [updates, <see cref="Optimizer.CoefficientCount"/>].</summary>
    public float[] CoefficientTable()
    {
        var table = new float[TotalUpdates * Optimizer.CoefficientCount];
        for (int update = 0; update < TotalUpdates; update++)
        {
            double rate = Optimizer.LearningRate * Schedule.Factor(update, Length);
            Optimizer.Coefficients(update, rate, table.AsSpan(update * Optimizer.CoefficientCount, Optimizer.CoefficientCount));
        }
        return table;
    }

    /// <summary>Of dropout masks and initial weights.</summary>
    public uint Seed { get; init; }

    /// <summary>Joins no kernels, and gives every tensor memory of its own, so that all can be read after a step: for checks, not for training.</summary>
    public bool KeepAll { get; init; }

    /// <summary>Plans the evaluation alone: no gradients, masters or optimizer state. For checks of a model that is trained already.</summary>
    public bool ForwardOnly { get; init; }

    /// <summary>A frozen layer whose values come in place of the features, so that nothing before it is in the plan; null for the whole network.</summary>
    public Node? Begins { get; init; }

    /// <summary>In a plan that only goes forward: leaves out the losses, for an output that is no answer.</summary>
    public bool WithoutLoss { get; init; }

    /// <summary>Computes the gradient of the network's input too, into <see cref="ExecutionPlan.InputGradient"/>: for checks.</summary>
    public bool InputGradient { get; init; }

    /// <summary>Without master weights the update works on the FP16 copy alone. Only to show what that costs.</summary>
    public bool MasterWeights { get; init; } = true;
}
