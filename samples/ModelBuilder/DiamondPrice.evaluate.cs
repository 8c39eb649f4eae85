// In the form in which Model Builder writes an evaluation.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MixedPrecision;

namespace ModelBuilder;

public static partial class DiamondPrice
{
    public static RegressionMetrics Evaluate(MLContext mlContext, IDataView testData, ITransformer model, string labelColumnName = @"price") =>
        mlContext.Regression.Evaluate(model.Transform(testData), labelColumnName);

    /// <summary>Permutation feature importance: how much R2 falls when one feature is shuffled among the rows, the largest fall first.</summary>
    /// <param name="model">As it was trained, not as it was loaded: the importance is that of the trainer's own features.</param>
    /// <param name="labelColumnName">What the trainer learned.</param>
    public static List<Tuple<string, double>> CalculatePFI(MLContext mlContext, IDataView data, ITransformer model, string labelColumnName = @"Label")
    {
        // ML.NET's overload for any ITransformer knows its own trainers only; this one takes ours.
        var trained = ((IEnumerable<ITransformer>)model).OfType<MixedPrecisionTransformer>().Single();
        var prepared = model.Transform(data);
        var importance = mlContext.Regression.PermutationFeatureImportance(trained, prepared, labelColumnName);

        VBuffer<ReadOnlyMemory<char>> names = default;
        prepared.Schema[trained.FeatureColumnName].GetSlotNames(ref names);
        return [.. names.DenseValues().Zip(importance, (name, change) => Tuple.Create($"{name}", change.RSquared.Mean)).OrderBy(feature => feature.Item2)];
    }
}
