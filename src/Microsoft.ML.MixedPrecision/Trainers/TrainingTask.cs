using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Which task a training has: from the loss or the catalog, and from the label column.</summary>
internal static class TrainingTask
{
    public static Loss DefaultLoss(ScoringTask task) => task switch
    {
        ScoringTask.Multiclass => new SoftmaxCrossEntropy(),
        ScoringTask.Binary => new SigmoidCrossEntropy(),
        _ => new MeanSquaredError(),
    };

    /// <exception cref="ArgumentOutOfRangeException">The catalog's task and the loss's differ.</exception>
    public static ScoringTask? Asked(ScoringTask? catalog, Loss? loss)
    {
        if (loss is null) return catalog;
        var task = loss.Task;
        if (catalog is { } expected && expected != task)
            throw BadArgument.Of(nameof(MixedPrecisionTrainer.Options.Loss), $"Loss: expected a loss for {Words(expected)}, got {loss.GetType().Name}, which is for {Words(task)}; leave it null, or use that task's catalog.");
        return task;
    }

    /// <summary>The task of a label column.</summary>
    /// <param name="asked">What loss or catalog ask for; null for whatever the label is.</param>
    /// <exception cref="ArgumentOutOfRangeException">The label is for no task, or for another.</exception>
    public static ScoringTask Resolve(string column, DataViewType type, ScoringTask? asked, string where = "")
    {
        bool isVector = type is VectorDataViewType;
        var item = isVector ? ((VectorDataViewType)type).ItemType : type;
        if (isVector && item == NumberDataViewType.Single && !((VectorDataViewType)type).IsKnownSize && asked is null or ScoringTask.Regression)
            throw TrainingColumns.Misfit(where, "Label", column, "a vector of known size", "a vector of unknown size", "give it a size: [VectorType(n)] on the property, or a range in LoadColumn");
        return Resolve(column, item is KeyDataViewType, item, isVector, $"{type}", asked, where);
    }

    /// <summary>As above, where only a <see cref="SchemaShape"/> is known.</summary>
    public static ScoringTask Resolve(SchemaShape.Column column, ScoringTask? asked) =>
        Resolve(column.Name, column.IsKey, column.ItemType, column.Kind != SchemaShape.Column.VectorKind.Scalar, column.IsKey ? $"Key<{column.ItemType}>" : $"{column.ItemType}", asked, "");

    private static ScoringTask Resolve(string column, bool isKey, DataViewType item, bool isVector, string got, ScoringTask? asked, string where)
    {
        ScoringTask? found = isKey ? (isVector ? null : ScoringTask.Multiclass)
            : item == BooleanDataViewType.Instance ? (isVector ? null : ScoringTask.Binary)
            : item == NumberDataViewType.Single ? (isVector ? ScoringTask.VectorRegression : ScoringTask.Regression)
            : null;
        bool fits = found is { } task && (asked is null || asked == task || (asked == ScoringTask.Regression && task == ScoringTask.VectorRegression));
        if (fits) return found!.Value;
        throw asked switch
        {
            ScoringTask.Multiclass => Misfit("a key (multiclass classification)", "make the key with Transforms.Conversion.MapValueToKey"),
            ScoringTask.Binary => Misfit("Boolean (binary classification)", "make it Boolean with Transforms.Conversion.MapValue or ConvertType"),
            ScoringTask.Regression => Misfit("Single, or a vector of Single (regression)", "convert it with Transforms.Conversion.ConvertType"),
            _ => Misfit("a key (multiclass), Boolean (binary), or Single or a vector of Single (regression)", "make a key with Transforms.Conversion.MapValueToKey, or convert it with Transforms.Conversion.ConvertType"),
        };

        ArgumentOutOfRangeException Misfit(string expected, string remedy) => TrainingColumns.Misfit(where, "Label", column, expected, got, remedy);
    }

    public static string Words(ScoringTask task) => task switch
    {
        ScoringTask.Multiclass => "multiclass classification",
        ScoringTask.Binary => "binary classification",
        _ => "regression",
    };
}
