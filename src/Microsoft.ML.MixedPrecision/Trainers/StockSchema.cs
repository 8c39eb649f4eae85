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
        string features = options.FeatureColumnName;
        var labelColumn = Find(input, "Label", options.LabelColumnName);
        var featureColumn = Find(input, "Features", features);
        if (options.Network!.InputFormat is { HasTokens: true, IsTable: false })
        {
            CheckTokens("Features", featureColumn);
            // Asked with numbers in their place, which is what stock trainers know.
            var numbers = Stock.Transforms.Conversion.Hash(features).Append(Stock.Transforms.Conversion.MapKeyToVector(features, outputCountVector: true)).GetOutputSchema(input);
            return new SchemaShape(Of(numbers, labelColumn, options, asked).Select(column => column.Name == features ? featureColumn : column));
        }
        if (featureColumn.Kind != SchemaShape.Column.VectorKind.Vector || featureColumn.ItemType != NumberDataViewType.Single)
            throw TrainingColumns.Misfit("", "Features", features, $"a vector of {options.Network.InputShape.Size} Single", Describe(featureColumn),
                featureColumn.ItemType is TextDataViewType ? "make numbers of the text first, with Transforms.Text.FeaturizeText or Transforms.Categorical.OneHotEncoding" : "make one with Transforms.Concatenate or Transforms.Conversion.ConvertType");
        if (options.Network.InputFormat.IsTable) CheckTokens("Token", Find(input, "Token", options.TokenColumnName));
        return Of(input, labelColumn, options, asked);
    }

    private static void CheckTokens(string role, SchemaShape.Column column)
    {
        if (column.Kind == SchemaShape.Column.VectorKind.Scalar || column.ItemType != NumberDataViewType.UInt32)
            throw TrainingColumns.Misfit("", role, column.Name, "a vector of keys or UInt32 (tokens)", Describe(column), "map words with Transforms.Conversion.MapValueToKey, or convert numbers with Transforms.Conversion.ConvertType");
    }

    private static SchemaShape Of(SchemaShape input, SchemaShape.Column labelColumn, MixedPrecisionTrainer.Options options, ScoringTask? asked)
    {
        var (features, label, weight) = (options.FeatureColumnName, options.LabelColumnName, options.ExampleWeightColumnName);
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
