using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The output schema of a trainer, as a stock trainer of the same task answers it: the constructor of a schema's column is
/// closed to other assemblies, and so the columns and their annotations are ML.NET's own.
/// </summary>
internal static class StockSchema
{
    private static readonly MLContext Stock = new(seed: 0); // only asked; trains nothing

    public static SchemaShape Of(SchemaShape input, MixedPrecisionTrainer.Options options, ScoringTask? asked)
    {
        string features = options.FeatureColumnName, label = options.LabelColumnName;
        string? weight = options.ExampleWeightColumnName;
        var labelColumn = Find(input, "Label", label);
        var featureColumn = Find(input, "Features", features);
        if (featureColumn.Kind != SchemaShape.Column.VectorKind.Vector || featureColumn.ItemType != NumberDataViewType.Single)
            throw TrainingColumns.Misfit("", "Features", features, $"a vector of {options.Network!.InputShape.Size} Single", Describe(featureColumn),
                featureColumn.ItemType is TextDataViewType ? "make numbers of the text first, with Transforms.Text.FeaturizeText or Transforms.Categorical.OneHotEncoding" : "make one with Transforms.Concatenate or Transforms.Conversion.ConvertType");
        if (weight is not null) Find(input, "Example weight", weight);
        return TrainingTask.Resolve(labelColumn, asked) switch
        {
            ScoringTask.Multiclass => Stock.MulticlassClassification.Trainers.SdcaMaximumEntropy(label, features, weight).GetOutputSchema(input),
            ScoringTask.Binary => Stock.BinaryClassification.Trainers.SdcaLogisticRegression(label, features, weight).GetOutputSchema(input),
            ScoringTask.Regression => Stock.Regression.Trainers.Sdca(label, features, weight).GetOutputSchema(input),
            // ML.NET has no trainer for vectors: Score is a column of the label's type.
            _ => Stock.Transforms.CopyColumns("Score", label).GetOutputSchema(input),
        };
    }

    private static SchemaShape.Column Find(SchemaShape schema, string role, string name)
    {
        foreach (var column in schema)
            if (column.Name == name) return column;
        throw TrainingColumns.Misfit("", role, name, "a column of this name", $"only {string.Join(", ", schema.Select(c => $"'{c.Name}'"))}", "name an existing column in the options, or add it before the trainer");
    }

    private static string Describe(SchemaShape.Column column) => column.Kind switch
    {
        SchemaShape.Column.VectorKind.Scalar => $"{column.ItemType}",
        SchemaShape.Column.VectorKind.Vector => $"a vector of {column.ItemType}",
        _ => $"a vector of {column.ItemType} of unknown size",
    };
}
