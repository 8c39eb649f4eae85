using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision;

/// <summary>The columns that a training reads, checked against a schema.</summary>
/// <param name="Features">A vector of <paramref name="FeatureCount"/> Single, or of tokens.</param>
/// <param name="Label">Key, Boolean, Single or a vector of Single, as the task has it.</param>
/// <param name="Weight">Single; null where every row weighs 1.</param>
/// <param name="Task">What the label makes of the training.</param>
/// <param name="FeatureCount">Elements of a feature vector that the network reads.</param>
/// <param name="Outputs">What the network must put out: classes, 1, or the elements of a vector label.</param>
/// <param name="Format">What the features are.</param>
/// <param name="Tokens">The column of tokens behind the numbers; null where there are not both.</param>
internal sealed record TrainingColumns(string Features, string Label, string? Weight, ScoringTask Task, int FeatureCount, int Outputs, InputFormat Format = default, string? Tokens = null)
{
    public bool IsClassification => Task is ScoringTask.Binary or ScoringTask.Multiclass;

    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of another type: name, expected, got, remedy.</exception>
    public static TrainingColumns Resolve(DataViewSchema schema, MixedPrecisionTrainer.Options options, ScoringTask? asked, string where = "")
    {
        var features = Find(schema, "Features", options.FeatureColumnName, where);
        var format = options.Network!.InputFormat;
        if (!format.HasTokens || format.IsTable) CheckFeatures(features, options.Network, where);
        else CheckTokens("Features", features, format.Vocabulary, where);
        if (format.IsTable) CheckTokens("Token", Find(schema, "Token", options.TokenColumnName, where), format.Vocabulary, where);
        var label = Find(schema, "Label", options.LabelColumnName, where);
        var task = TrainingTask.Resolve(label.Name, label.Type, asked, where);
        int outputs = task switch
        {
            ScoringTask.Multiclass => Classes(label, where),
            ScoringTask.VectorRegression => ((VectorDataViewType)label.Type).Size,
            _ => 1,
        };
        if (options.ExampleWeightColumnName is { } name)
        {
            var weight = Find(schema, "Example weight", name, where);
            if (weight.Type != NumberDataViewType.Single)
                throw Misfit(where, "Example weight", name, "Single", $"{weight.Type}", "convert it with Transforms.Conversion.ConvertType");
        }
        return new TrainingColumns(options.FeatureColumnName, options.LabelColumnName, options.ExampleWeightColumnName, task, options.Network.InputShape.Size, outputs, format, format.IsTable ? options.TokenColumnName : null);
    }

    /// <exception cref="ArgumentOutOfRangeException">Another data set's columns are not those of the training.</exception>
    public void Expect(TrainingColumns other, string where)
    {
        if (other.Task != Task || other.Outputs != Outputs)
            throw Misfit(where, "Label", Label, $"{Outputs} {(Task == ScoringTask.Multiclass ? "classes" : "values")} as in the training data ({Task})", $"{other.Outputs} ({other.Task})", "transform it with the same fitted pipeline as the training data");
    }

    internal static ArgumentOutOfRangeException Misfit(string where, string role, string column, string expected, string got, string remedy) =>
        BadArgument.Of("input", $"{where}{role} column '{column}': expected {expected}, got {got}; {remedy}.");

    private static DataViewSchema.Column Find(DataViewSchema schema, string role, string name, string where) =>
        schema.GetColumnOrNull(name) ?? throw Misfit(where, role, name, "a column of this name",
            $"only {string.Join(", ", schema.Where(c => !c.IsHidden).Select(c => $"'{c.Name}'"))}", "name an existing column in the options, or add it to the data");

    private static void CheckFeatures(DataViewSchema.Column column, Network network, string where)
    {
        var shape = network.InputFormat.IsTable ? Shape.Vector(network.InputFormat.Numbers) : network.InputShape;
        string expected = shape.IsImage
            ? $"a vector of {shape.Size} Single (an image of {shape.Height} x {shape.Width} with {shape.Channels} channel{(shape.Channels == 1 ? "" : "s")})"
            : shape.IsSequence
                ? $"a vector of {shape.Size} Single (a sequence of {shape.Length} positions with {shape.Channels} feature{(shape.Channels == 1 ? "" : "s")} each)"
                : $"a vector of {shape.Size} Single";
        if (column.Type is not VectorDataViewType vector)
        {
            throw Misfit(where, "Features", column.Name, expected, $"{column.Type}", column.Type is TextDataViewType
                ? "make numbers of the text first, with Transforms.Text.FeaturizeText or Transforms.Categorical.OneHotEncoding"
                : "make a vector of the columns with Transforms.Concatenate");
        }
        if (vector.ItemType != NumberDataViewType.Single)
        {
            throw Misfit(where, "Features", column.Name, expected, $"{column.Type}", vector.ItemType is TextDataViewType
                ? "make numbers of the text first, with Transforms.Text.FeaturizeText or Transforms.Categorical.OneHotEncoding"
                : "convert it with Transforms.Conversion.ConvertType");
        }
        if (!vector.IsKnownSize)
            throw Misfit(where, "Features", column.Name, expected, "a vector of unknown size", "give it a size: [VectorType(n)] on the property, or a range in LoadColumn");
        if (vector.Size != shape.Size)
        {
            throw Misfit(where, "Features", column.Name, expected, $"a vector of {vector.Size}", shape switch
            {
                { IsImage: true } => "make height x width x channels of Network.Image the number of pixel values",
                { IsSequence: true } => "make length x features of Network.Sequence the number of values",
                _ when network.InputFormat.IsTable => "make numbers of Network.Table the number of values",
                _ => $"start the network with Network.Vector({vector.Size})",
            });
        }
    }

    /// <summary>Whether a column's elements can be tokens.</summary>
    public static bool AreTokens(DataViewType item) => item is KeyDataViewType { RawType: var raw } ? raw == typeof(uint) : item == NumberDataViewType.UInt32;

    private static void CheckTokens(string role, DataViewSchema.Column column, int vocabulary, string where)
    {
        var item = (column.Type as VectorDataViewType)?.ItemType;
        if (item is null || !AreTokens(item))
        {
            throw Misfit(where, role, column.Name, "a vector of keys or UInt32 (tokens)", $"{column.Type}", (item ?? column.Type) switch
            {
                TextDataViewType when item is null => "cut it into words with Transforms.Text.TokenizeIntoWords, and map those with Transforms.Conversion.MapValueToKey",
                TextDataViewType => "map its words with Transforms.Conversion.MapValueToKey",
                KeyDataViewType when item is null => "make a vector of what it was made of with Transforms.Concatenate, and map that with Transforms.Conversion.MapValueToKey", // keys themselves ML.NET does not concatenate
                _ when item is null => "make a vector of it with Transforms.Concatenate",
                _ => "convert it with Transforms.Conversion.ConvertType to UInt32",
            });
        }
        if (item is KeyDataViewType key && key.Count >= (ulong)vocabulary)
            throw Misfit(where, role, column.Name, $"keys of at most {vocabulary - 1} values", $"{key.Count}", $"make the vocabulary of the network {key.Count + 1}, or keep fewer (maximumNumberOfKeys of MapValueToKey)");
    }

    private static int Classes(DataViewSchema.Column label, string where)
    {
        ulong count = ((KeyDataViewType)label.Type).Count;
        if (!LabelNames.Has(label) || count == 0)
            throw Misfit(where, "Label", label.Name, "a key with its values (the names of the classes)", $"{label.Type} without values", "make the key with Transforms.Conversion.MapValueToKey");
        if (count < 2)
            throw Misfit(where, "Label", label.Name, "at least 2 classes", $"{count}", "check that the data hold examples of every class");
        return checked((int)count);
    }
}
