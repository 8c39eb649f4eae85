using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>
/// A workload's data on the device, as a training keeps them there: a batch of random rows, many times over, so that a pass over them is many
/// steps that ask the host nothing. Where the device keeps no rows (a CPU), each step takes the batch from the host.
/// </summary>
internal sealed class ResidentBatches
{
    private const long MostBytes = 256 << 20;
    private const int MostBatches = 256;

    private readonly TrainingSession _session;
    private readonly Batch _batch;
    private readonly int[]? _order;
    private readonly int _batches;
    private int _next;

    public ResidentBatches(Workload workload, TrainingSession session)
    {
        _session = session;
        int features = session.Plan.Network.InputShape.Size, vocabulary = session.Plan.Network.InputFormat.Vocabulary;
        _batch = workload.RandomBatch(session.Plan.Network);
        if (Target.IsCpu) return;
        var columns = new TrainingColumns(vocabulary > 0 ? nameof(Row.Tokens) : nameof(Row.Features), nameof(Row.Label), null, ScoringTask.Multiclass, features, workload.Classes, session.Plan.Network.InputFormat);
        var store = new RowStore(columns, session.Plan.Options.Precision, MostBytes);
        _batches = _next = Math.Clamp(store.Capacity / workload.Batch, 1, MostBatches);
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, features);
        schema[nameof(Row.Tokens)].ColumnType = new VectorDataViewType(NumberDataViewType.UInt32, features);
        schema[nameof(Row.Label)].ColumnType = new KeyDataViewType(typeof(uint), workload.Classes);
        using var reader = new RowReader(new MLContext().Data.LoadFromEnumerable(Rows(workload.Batch, features), schema), columns, session.Plan.Options.Precision, null, "");
        while (!store.IsFull && reader.Read()) store.Add(reader);
        if (session.Keep(store)) _order = [.. Enumerable.Range(0, store.Count)];
    }

    /// <summary>A step on the next batch, not waited for. Where a pass begins, the device waits for its order, as between epochs.</summary>
    public void Step()
    {
        if (_order is not null && _next++ == _batches)
        {
            _session.BeginPass(_order);
            _next = 1;
        }
        _session.Step(_order is null ? _batch : null, update: true);
    }

    private IEnumerable<Row> Rows(int rows, int features)
    {
        for (int i = 0; i < _batches * rows; i++)
        {
            int row = i % rows;
            float[] values = _batch.Features.AsSpan(row * features, features).ToArray();
            yield return new Row { Features = values, Tokens = [.. values.Select(v => (uint)MathF.Max(v, 0))], Label = (uint)_batch.Classes[row] }; // ML.NET adds the 1 that keys count from
        }
    }

    private sealed class Row
    {
        public float[] Features { get; set; } = [];
        public uint[] Tokens { get; set; } = [];
        public uint Label { get; set; }
    }
}
