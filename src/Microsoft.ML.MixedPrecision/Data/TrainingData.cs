namespace Microsoft.ML.MixedPrecision;

/// <summary>The rows of one Fit: counted, checked and, as far as they fit, in memory after one first pass.</summary>
internal sealed class TrainingData
{
    /// <summary>How many rows are read between two looks at the token.</summary>
    private const int RowsBetweenChecks = 256;

    public required RowSet Training { get; init; }

    /// <summary>Null without validation.</summary>
    public RowSet? Validation { get; init; }

    /// <exception cref="InvalidOperationException">No rows, one class only, or a row that cannot be trained on.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The validation set's columns are not those of the training.</exception>
    public static TrainingData Load(IDataView data, TrainingColumns columns, MixedPrecisionTrainer.Options options, Loss loss, ScoringTask? asked, uint seed)
    {
        var token = options.CancellationToken;
        bool resumable = options.CheckpointPath is not null;
        var classWeights = ClassWeights(loss, columns);
        var filter = new RowFilter(options.ValidationFraction, seed);
        var training = new RowSet(data, columns, options.Precision, classWeights, row => !filter.IsValidation(row), options.CacheBytes, "") { HasChecksum = resumable };
        RowSet? validation = null;
        if (options.ValidationSet is { } set)
        {
            const string Where = "ValidationSet: ";
            columns.Expect(TrainingColumns.Resolve(set.Schema, options, asked, Where), Where);
            validation = new RowSet(set, columns, options.Precision, classWeights, _ => true, options.CacheBytes, Where) { HasChecksum = resumable };
            using var reader = new RowReader(set, columns, options.Precision, classWeights, Where);
            for (long i = 0; reader.Read(); i++)
            {
                if (i % RowsBetweenChecks == 0) token.ThrowIfCancellationRequested();
                validation.Admit(reader);
            }
            ExpectRows(validation, "ValidationSet: expected rows", "use one that has some, or ValidationFraction");
        }
        else if (options.ValidationFraction > 0f)
        {
            validation = new RowSet(data, columns, options.Precision, classWeights, filter.IsValidation, options.CacheBytes, "") { HasChecksum = resumable };
        }

        using (var reader = new RowReader(data, columns, options.Precision, classWeights, ""))
        {
            for (long i = 0; reader.Read(); i++)
            {
                if (i % RowsBetweenChecks == 0) token.ThrowIfCancellationRequested();
                if (!training.Admit(reader)) validation!.Admit(reader);
            }
        }
        bool splits = options.ValidationFraction > 0f && training.Rows + validation!.Rows > 0;
        ExpectRows(training, splits ? $"ValidationFraction: expected rows left to train on of {validation!.Rows}" : "The training data: expected at least 1 row",
            splits ? "use a smaller fraction or more rows" : "check the path and the filters before the trainer");
        if (splits) ExpectRows(validation!, $"ValidationFraction: expected rows to validate on of {training.Rows}", "use a larger fraction, more rows, or a ValidationSet");
        if (columns.IsClassification && training.Classes < 2)
            throw new InvalidOperationException($"Label column '{columns.Label}': expected rows of at least 2 classes, got rows of one class only; check the label, and that a split keeps every class.");
        return new TrainingData { Training = training, Validation = validation };
    }

    private static void ExpectRows(RowSet set, string expected, string remedy)
    {
        if (set.Rows == 0) throw new InvalidOperationException($"{expected}, got none; {remedy}.");
        if (!(set.Weight > 0)) throw new InvalidOperationException($"{expected} with a weight above 0, got only weights of 0; correct the example weights.");
    }

    private static IReadOnlyList<float>? ClassWeights(Loss loss, TrainingColumns columns)
    {
        if (loss is not SoftmaxCrossEntropy { ClassWeights: { } weights }) return null;
        if (weights.Count != columns.Outputs)
            throw BadArgument.Of(nameof(MixedPrecisionTrainer.Options.Loss), $"SoftmaxCrossEntropy.ClassWeights: expected {columns.Outputs} weights, one for each class of label column '{columns.Label}', got {weights.Count}.");
        return weights;
    }
}
