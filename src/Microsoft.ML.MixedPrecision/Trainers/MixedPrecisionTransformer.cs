using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A trained network. It scores in batches through ONNX Runtime; columns and annotations are those of ML.NET's own trainers: <c>Score</c>, and
/// <c>PredictedLabel</c> and <c>Probability</c> where the task has them. Saved, it is a chain of stock ML.NET transformers, which any
/// ML.NET application loads without this library.
/// </summary>
public sealed class MixedPrecisionTransformer : ISingleFeaturePredictionTransformer<Network>, IDisposable
{
    private readonly ExportGate _gate;
    private readonly StockScoringChain _chain;
    private bool _disposed;

    internal MixedPrecisionTransformer(IHostEnvironment environment, ExportGate gate, TrainingReport report, DataViewSchema schema, TrainingColumns columns)
    {
        (_gate, Report, FeatureColumnName) = (gate, report, columns.Features);
        FeatureColumnType = schema[columns.Features].Type;
        _chain = new StockScoringChain(environment, gate.Model(gate.Native), schema, columns.Features, columns.Label, columns.Task, tokenColumn: columns.Tokens,
            gpuDeviceId: Catalogs.GpuDeviceId(environment), fallbackToCpu: Catalogs.FallbackToCpu(environment));
    }

    /// <summary>
    /// The network that was trained, with the last layer that the trainer added and with the trained values: trained again it goes on from them, with an optimizer at its beginning, and
    /// <see cref="Network.UpTo(string)"/> cuts it for another task.
    /// </summary>
    public Network Network => field ??= _gate.Trained;

    /// <summary>What the training did: losses by epoch, updates, device, memory.</summary>
    public TrainingReport Report { get; }

    /// <summary>The column that is scored.</summary>
    public string FeatureColumnName { get; }

    /// <summary>Its type: a vector of <see cref="float"/>, or of tokens.</summary>
    public DataViewType FeatureColumnType { get; }

    /// <summary>True: each row is scored by itself.</summary>
    public bool IsRowToRowMapper => true;

    Network IPredictionTransformer<Network>.Model => Network;

    /// <summary>The schema of scored data.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The feature column is missing or of another type.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => Alive._chain.GetOutputSchema(inputSchema);

    /// <summary>Scores in batches, when the result is read.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The feature column is missing or of another type.</exception>
    /// <exception cref="ObjectDisposedException">The transformer is disposed.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return Alive._chain.Transform(input);
    }

    /// <summary>Scores row by row, for prediction engines.</summary>
    /// <exception cref="ObjectDisposedException">The transformer is disposed.</exception>
    public IRowToRowMapper GetRowToRowMapper(DataViewSchema inputSchema) => Alive._chain.GetRowToRowMapper(inputSchema);

    /// <summary>Writes the network as an ONNX file, after a check that ONNX Runtime scores rows of the training data as the training did.</summary>
    /// <param name="path">A file in an existing folder; replaced if it is there.</param>
    /// <param name="precision">Half (the default): FP16 weights; features are FP32 as in the column, or UINT32 where they are tokens, and scores FP32. Single: FP32, faster to score on a CPU.</param>
    /// <exception cref="IOException">The file cannot be written; the message names the path.</exception>
    /// <exception cref="InvalidOperationException">The scores differ by more than the format explains; the message names the layer.</exception>
    /// <exception cref="ObjectDisposedException">The transformer is disposed.</exception>
    public void ExportToOnnx(string path, OnnxPrecision precision = OnnxPrecision.Half) => OnnxFile.Save(Checked(precision), path);

    /// <summary>Writes the network as an ONNX model to a stream, after the same check.</summary>
    /// <param name="stream">Is written to and stays open.</param>
    /// <param name="precision">Half (the default): FP16 weights; features are FP32 as in the column, or UINT32 where they are tokens, and scores FP32. Single: FP32, faster to score on a CPU.</param>
    /// <exception cref="InvalidOperationException">The scores differ by more than the format explains; the message names the layer.</exception>
    /// <exception cref="ObjectDisposedException">The transformer is disposed.</exception>
    public void ExportToOnnx(Stream stream, OnnxPrecision precision = OnnxPrecision.Half)
    {
        ArgumentNullException.ThrowIfNull(stream);
        OnnxFile.Save(Checked(precision), stream);
    }

    /// <summary>Releases what scoring holds. Models that were saved are not affected.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _chain.Dispose();
    }

    void ICanSaveModel.Save(ModelSaveContext ctx) => Alive._chain.Save(ctx);

    private MixedPrecisionTransformer Alive
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return this;
        }
    }

    private OnnxModel Checked(OnnxPrecision precision)
    {
        if (!Enum.IsDefined(precision)) throw new ArgumentOutOfRangeException(nameof(precision), precision, "Expected Half or Single.");
        return Alive._gate.Model(precision);
    }
}
