using Microsoft.ML.MixedPrecision;

namespace Microsoft.ML;

/// <summary>What the trainer catalogs of an <see cref="MLContext"/> gain.</summary>
public static class MixedPrecisionCatalog
{
    /// <summary>Trains a network to tell classes apart: the label column is a key with values. Outputs <c>Score</c> (probabilities) and <c>PredictedLabel</c> (key).</summary>
    /// <inheritdoc cref="MixedPrecision(RegressionCatalog.RegressionTrainers, Network, string, string, string?, int, int, float)"/>
    public static MixedPrecisionTrainer MixedPrecision(this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, Network network,
        string labelColumnName = "Label", string featureColumnName = "Features", string? exampleWeightColumnName = null, int epochs = 10, int batchSize = 64, float learningRate = 1e-3f) =>
        Trainer(catalog, ScoringTask.Multiclass, Options(network, labelColumnName, featureColumnName, exampleWeightColumnName, epochs, batchSize, learningRate));

    /// <summary>Trains a network to tell classes apart, with all options.</summary>
    /// <inheritdoc cref="MixedPrecision(RegressionCatalog.RegressionTrainers, MixedPrecisionTrainer.Options)"/>
    public static MixedPrecisionTrainer MixedPrecision(this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, MixedPrecisionTrainer.Options options) =>
        Trainer(catalog, ScoringTask.Multiclass, options);

    /// <summary>Trains a network to answer yes or no: the label column is Boolean. Outputs <c>Score</c>, <c>Probability</c> and <c>PredictedLabel</c> (Boolean).</summary>
    /// <inheritdoc cref="MixedPrecision(RegressionCatalog.RegressionTrainers, Network, string, string, string?, int, int, float)"/>
    public static MixedPrecisionTrainer MixedPrecision(this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, Network network,
        string labelColumnName = "Label", string featureColumnName = "Features", string? exampleWeightColumnName = null, int epochs = 10, int batchSize = 64, float learningRate = 1e-3f) =>
        Trainer(catalog, ScoringTask.Binary, Options(network, labelColumnName, featureColumnName, exampleWeightColumnName, epochs, batchSize, learningRate));

    /// <summary>Trains a network to answer yes or no, with all options.</summary>
    /// <inheritdoc cref="MixedPrecision(RegressionCatalog.RegressionTrainers, MixedPrecisionTrainer.Options)"/>
    public static MixedPrecisionTrainer MixedPrecision(this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, MixedPrecisionTrainer.Options options) =>
        Trainer(catalog, ScoringTask.Binary, options);

    /// <summary>Trains a network to predict a value, or a vector of values: the label column is <see cref="float"/> or a vector of them. Outputs <c>Score</c> of the same type.</summary>
    /// <param name="catalog">The trainers of an <see cref="MLContext"/>.</param>
    /// <param name="network">What is trained; the trainer adds the last Linear that the label needs.</param>
    /// <param name="labelColumnName">The column of labels.</param>
    /// <param name="featureColumnName">The column of features: a vector of <see cref="float"/> of the size of the network's input, or what <see cref="Network.Tokens"/> takes.</param>
    /// <param name="exampleWeightColumnName">The column of weights; null: every row weighs 1.</param>
    /// <param name="epochs">Passes over the data, at least 1.</param>
    /// <param name="batchSize">Rows that are processed at once, at least 1.</param>
    /// <param name="learningRate">Of Adam, above 0.</param>
    /// <exception cref="ArgumentNullException"><paramref name="network"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range; the message names it.</exception>
    public static MixedPrecisionTrainer MixedPrecision(this RegressionCatalog.RegressionTrainers catalog, Network network,
        string labelColumnName = "Label", string featureColumnName = "Features", string? exampleWeightColumnName = null, int epochs = 10, int batchSize = 64, float learningRate = 1e-3f) =>
        Trainer(catalog, ScoringTask.Regression, Options(network, labelColumnName, featureColumnName, exampleWeightColumnName, epochs, batchSize, learningRate));

    /// <summary>Trains a network to predict a value, or a vector of values, with all options.</summary>
    /// <param name="catalog">The trainers of an <see cref="MLContext"/>.</param>
    /// <param name="options">Copied.</param>
    /// <exception cref="ArgumentNullException"><paramref name="options"/> is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is outside its range; the message names it.</exception>
    public static MixedPrecisionTrainer MixedPrecision(this RegressionCatalog.RegressionTrainers catalog, MixedPrecisionTrainer.Options options) =>
        Trainer(catalog, ScoringTask.Regression, options);

    private static MixedPrecisionTrainer Trainer(TrainCatalogBase.CatalogInstantiatorBase catalog, ScoringTask task, MixedPrecisionTrainer.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return new MixedPrecisionTrainer(Catalogs.EnvironmentOf(catalog), options, task);
    }

    private static MixedPrecisionTrainer.Options Options(Network network, string label, string features, string? weight, int epochs, int batchSize, float learningRate)
    {
        ArgumentNullException.ThrowIfNull(network);
        return new()
        {
            Network = network,
            LabelColumnName = label,
            FeatureColumnName = features,
            ExampleWeightColumnName = weight,
            Epochs = epochs,
            BatchSize = batchSize,
            Optimizer = MixedPrecisionTrainer.DefaultOptimizer(learningRate),
        };
    }
}
