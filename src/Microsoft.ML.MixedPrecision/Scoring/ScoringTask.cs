namespace Microsoft.ML.MixedPrecision;

/// <summary>What is made of the network's output; each is one stock ML.NET head.</summary>
internal enum ScoringTask
{
    /// <summary>One logit: <c>PredictedLabel</c> (bool), <c>Score</c>, <c>Probability</c> by the sigmoid.</summary>
    Binary,

    /// <summary>A logit for each class: <c>PredictedLabel</c> (key), <c>Score</c> by the softmax.</summary>
    Multiclass,

    /// <summary>One value: <c>Score</c>.</summary>
    Regression,

    /// <summary>Several values, <c>Score</c> as a vector; ML.NET has no head for it, the network's output is the column.</summary>
    VectorRegression,
}
