using System.Runtime.CompilerServices;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Microsoft.ML.Transforms.Onnx;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A trained network as stock ML.NET parts: <see cref="OnnxTransformer"/>, then a linear prediction transformer with identity
/// weights. Schema, annotations, evaluation and the saved file are therefore ML.NET's own, and a saved model loads in an
/// application that has never heard of this library.
/// The network's output column has the name of the head's first column, which hides it: no column is left over, and ML.NET, which puts
/// a column right behind the one that it hides, keeps the order of a native trainer.
/// </summary>
internal sealed class StockScoringChain : IDisposable
{
    // A transformer reads its file again when it is saved: the file lives as long as the transformer, whoever holds it.
    private static readonly ConditionalWeakTable<OnnxTransformer, TemporaryFile> Files = [];

    private readonly OnnxTransformer _network;
    private readonly ITransformer? _head;
    private readonly Lazy<OnnxSession> _session;
    private readonly string _featureColumn;
    private readonly string? _tokenColumn;
    private readonly int _features, _tokens; // of tokens 0 is any number
    private bool _disposed;

    /// <param name="env">The environment of the trainer.</param>
    /// <param name="model">Logits [N, classes], a logit [N, 1], or values [N, outputs].</param>
    /// <param name="trainSchema">The schema of the training data: the label's annotations become those of the predicted label.</param>
    /// <param name="featureColumn">A column of <paramref name="trainSchema"/>, a vector of Single or of tokens.</param>
    /// <param name="labelColumn">A column of <paramref name="trainSchema"/>; used where the task is <see cref="ScoringTask.Multiclass"/>.</param>
    /// <param name="task">Which head.</param>
    /// <param name="scale">What a regression's output is multiplied by, before <paramref name="offset"/> is added: undoes a standardized label.</param>
    /// <param name="offset">See <paramref name="scale"/>.</param>
    /// <param name="tokenColumn">A column of <paramref name="trainSchema"/>, a vector of tokens, where the model reads both numbers and tokens.</param>
    /// <param name="gpuDeviceId">The GPU that ONNX Runtime scores on; null for the CPU.</param>
    /// <param name="fallbackToCpu">Score on the CPU where that GPU cannot be used.</param>
    public StockScoringChain(IHostEnvironment env, OnnxModel model, DataViewSchema trainSchema, string featureColumn, string labelColumn, ScoringTask task,
        float scale = 1, float offset = 0, string? tokenColumn = null, int? gpuDeviceId = null, bool fallbackToCpu = false)
    {
        (_featureColumn, _tokenColumn, _features) = (featureColumn, tokenColumn, model.Features);
        if (model.Tokens > 0 && trainSchema.GetColumnOrNull(tokenColumn ?? featureColumn)?.Type is VectorDataViewType { IsKnownSize: true } known) _tokens = known.Size;
        CheckFeatures(trainSchema);
        CheckColumns(task, model.Columns);
        if (task == ScoringTask.Multiclass) CheckLabel(trainSchema, labelColumn, model.Columns);
        if (task == ScoringTask.VectorRegression && (scale != 1 || offset != 0))
            throw new ArgumentException("Expected the network itself to undo a standardized vector label, got a scale or an offset; add it to the graph.", nameof(scale));

        OnnxModel bound = model.Rename(tokenColumn is null ? [featureColumn] : [featureColumn, tokenColumn], OutputColumn(task, featureColumn), _tokens);
        Task = task;
        var file = new TemporaryFile(bound.WriteTo, ".onnx");
        _session = Later(file.Name, gpuDeviceId, fallbackToCpu);
        try
        {
            // ML.NET's own fallback misses what the CPU package throws, so it is told of a GPU only where there is one.
            int? usedGpu = gpuDeviceId is null ? null : _session.Value.GpuDeviceId;
            _network = OnnxSession.WithRuntime(() => StockConstructors.Onnx(env, [bound.OutputName], [.. bound.InputNames], file.Name, usedGpu, false, null, 100, null, null));
            Files.Add(_network, file);
        }
        catch
        {
            file.Dispose();
            if (_session.IsValueCreated) _session.Value.Dispose();
            throw;
        }
        _head = Head(env, task, _network.GetOutputSchema(trainSchema), bound.OutputName, labelColumn, model.Columns, scale, offset);
        Chain = _head is null ? new TransformerChain<ITransformer>(_network) : new TransformerChain<ITransformer>(_network, _head);
    }

    public ScoringTask Task { get; }

    /// <summary>The stock parts: what is saved, and what a prediction engine runs, row by row.</summary>
    public TransformerChain<ITransformer> Chain { get; }

    /// <summary>Scores in batches; the schema is that of <see cref="Chain"/>.</summary>
    public IDataView Transform(IDataView input)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        CheckFeatures(input.Schema);
        IDataView scored = new BatchedScorer(input, _network.GetOutputSchema(input.Schema), _featureColumn, _session.Value, _tokenColumn);
        return _head is null ? scored : _head.Transform(scored);
    }

    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        CheckFeatures(inputSchema);
        return Chain.GetOutputSchema(inputSchema);
    }

    public IRowToRowMapper GetRowToRowMapper(DataViewSchema inputSchema)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        CheckFeatures(inputSchema);
        return ((ITransformer)Chain).GetRowToRowMapper(inputSchema);
    }

    public void Save(ModelSaveContext context)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ((ICanSaveModel)Chain).Save(context);
    }

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        if (_session.IsValueCreated) _session.Value.Dispose();
        Chain.Dispose();
        if (Files.TryGetValue(_network, out TemporaryFile? file)) file.Dispose();
    }

    /// <summary>A method of its own, so that it holds the name of the file and not the model, whose weights are free once the file has them.</summary>
    private static Lazy<OnnxSession> Later(string path, int? gpuDeviceId, bool fallbackToCpu) => new(() => new OnnxSession(path, gpuDeviceId, fallbackToCpu));

    private static string OutputColumn(ScoringTask task, string featureColumn)
    {
        string first = task is ScoringTask.Binary or ScoringTask.Multiclass ? "PredictedLabel" : "Score";
        return first != featureColumn ? first
            : task == ScoringTask.VectorRegression ? throw new ArgumentException($"Expected a feature column with another name than the output's, got '{first}'; rename it.", nameof(featureColumn))
            : "MixedPrecision.Output"; // stays in the schema, the features stay visible to the network
    }

    private static ITransformer? Head(IHostEnvironment env, ScoringTask task, DataViewSchema schema, string networkColumn, string labelColumn, int columns, float scale, float offset)
    {
        switch (task)
        {
            case ScoringTask.Binary:
                return StockConstructors.BinaryTransformer(env,
                    StockConstructors.Calibrated(env, StockConstructors.LinearBinary(env, new VBuffer<float>(1, [1f]), 0, null), StockConstructors.Platt(env, -1, 0)), schema, networkColumn);
            case ScoringTask.Multiclass:
                VBuffer<float> identity = Identity(columns);
                return StockConstructors.MulticlassTransformer(env, StockConstructors.MaximumEntropy(env, in identity, columns, columns, null, null), schema, networkColumn, labelColumn);
            case ScoringTask.Regression:
                return StockConstructors.RegressionTransformer(env, StockConstructors.LinearRegression(env, new VBuffer<float>(1, [scale]), offset), schema, networkColumn);
            default:
                return null;
        }
    }

    /// <summary>C zero biases, then the C x C identity, sparse: a class then sees its own logit only, also where another is infinite.</summary>
    private static VBuffer<float> Identity(int classes)
    {
        var values = new float[classes];
        var indices = new int[classes];
        for (int i = 0; i < classes; i++)
        {
            values[i] = 1;
            indices[i] = checked(classes + i * classes + i);
        }
        return new VBuffer<float>(checked(classes + classes * classes), classes, values, indices);
    }

    private static void CheckColumns(ScoringTask task, int columns)
    {
        bool fits = task switch
        {
            ScoringTask.Multiclass => columns is >= 2 and <= 46339, // ML.NET addresses the head's classes * (classes + 1) weights by int
            ScoringTask.VectorRegression => columns >= 1,
            _ => columns == 1,
        };
        if (!fits)
            throw new ArgumentException($"{task}: expected a network with {(task == ScoringTask.Multiclass ? "2 to 46339 outputs" : "1 output")}, got {columns}.", nameof(columns));
    }

    private static void CheckLabel(DataViewSchema schema, string labelColumn, int classes)
    {
        // ML.NET leaves the names out where the counts differ, and would say nothing.
        if (schema.GetColumnOrNull(labelColumn) is not { Type: KeyDataViewType key } || key.Count != (ulong)classes)
            throw new ArgumentOutOfRangeException(nameof(schema), $"Label column '{labelColumn}': expected a key with {classes} values, as many as the network has outputs, got {schema.GetColumnOrNull(labelColumn)?.Type.ToString() ?? "no such column"}.");
    }

    private void CheckFeatures(DataViewSchema schema)
    {
        if (_features > 0) CheckColumn(schema, "Features", _featureColumn, $"a vector of {_features} Single", vector => vector.ItemType == NumberDataViewType.Single && vector.Size == _features);
        if (_features == 0 || _tokenColumn is not null)
        {
            string expected = _tokens > 0 ? $"a vector of {_tokens} keys or UInt32" : "a vector of keys or UInt32 of unknown size";
            CheckColumn(schema, _tokenColumn is null ? "Features" : "Token", _tokenColumn ?? _featureColumn, $"{expected}, as in training",
                vector => TrainingColumns.AreTokens(vector.ItemType) && vector.Size == _tokens);
        }
    }

    private static void CheckColumn(DataViewSchema schema, string role, string name, string expected, Func<VectorDataViewType, bool> fits)
    {
        if (schema.GetColumnOrNull(name) is not { } column)
            throw new ArgumentOutOfRangeException(nameof(schema), $"{role} column '{name}' not found: expected {expected}; got the columns {string.Join(", ", schema.Where(c => !c.IsHidden).Select(c => c.Name))}.");
        if (column.Type is not VectorDataViewType vector || !fits(vector))
            throw new ArgumentOutOfRangeException(nameof(schema), $"{role} column '{name}': expected {expected}, got {column.Type}.");
    }
}
