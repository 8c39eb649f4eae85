namespace Microsoft.ML.MixedPrecision;

/// <summary>The rows of a training or of its validation: in memory where they fit, read from the data again each pass where not.</summary>
internal sealed class RowSet(IDataView data, TrainingColumns columns, Precision precision, IReadOnlyList<float>? classWeights, Func<long, bool> accepts, long cacheBytes, string where)
{
    private readonly RowStore _store = new(columns, precision, cacheBytes);
    private readonly bool[] _seen = new bool[columns.Task == ScoringTask.Multiclass ? columns.Outputs : columns.IsClassification ? 2 : 0];

    private int[] _order = []; // used again in each epoch

    public long Rows { get; private set; }

    /// <summary>Sum of the weights.</summary>
    public double Weight { get; private set; }

    /// <summary>Whether the first pass takes the <see cref="Checksum"/>.</summary>
    public bool HasChecksum { get; init; }

    /// <summary>Of all rows in their order, as they are trained on: <see cref="TrainingIdentity"/>.</summary>
    public ulong Checksum { get; private set; }

    /// <summary>Whether every row is in memory.</summary>
    public bool IsCached => Rows == _store.Count;

    /// <summary>Rows that are shuffled among each other where the data are larger than memory.</summary>
    public int Window => _store.Capacity;

    /// <summary>Distinct classes seen; 0 for values.</summary>
    public int Classes { get; private set; }

    /// <summary>Takes the row that the first pass has read, if it is one of these.</summary>
    public bool Admit(RowReader row)
    {
        if (!accepts(row.Row)) return false;
        Rows++;
        Weight += row.Weight;
        if (HasChecksum) Checksum = TrainingIdentity.Checksum(row.Values, TrainingIdentity.Checksum([row.Weight, row.Class], TrainingIdentity.Checksum(row.Features, Checksum)));
        if (_seen.Length > 0 && !_seen[row.Class])
        {
            _seen[row.Class] = true;
            Classes++;
        }
        if (!_store.IsFull) _store.Add(row);
        return true;
    }

    /// <summary>The first rows that are in memory; call before the first pass.</summary>
    public Batch Sample(int rows)
    {
        rows = Math.Min(rows, _store.Count);
        var batch = NewBatch(rows);
        for (int i = 0; i < rows; i++) _store.CopyTo(i, batch, i);
        batch.RowCount = rows;
        return batch;
    }

    public Batch NewBatch(int rows) => new(rows, columns.FeatureCount, columns.Task == ScoringTask.Multiclass ? 0 : columns.Outputs);

    public RowPass InOrder()
    {
        if (IsCached) return new CachedPass(_store, null, []);
        _store.Release(); // only a window for shuffling needs it
        return new StreamedPass(Reader(), accepts);
    }

    /// <summary>One pass at a time: they share what they are shuffled with.</summary>
    public RowPass Shuffled(uint seed, int epoch)
    {
        var order = new ShuffleOrder(seed, epoch);
        if (_order.Length != _store.Count && IsCached) _order = new int[_store.Count];
        return IsCached ? new CachedPass(_store, order, _order) : new WindowPass(Reader(), accepts, _store, order);
    }

    /// <summary>These rows with features that are computed of theirs, all in memory, for which there must be room. The memory of the old ones is given back.</summary>
    /// <param name="others">The columns, as if the new features were one.</param>
    /// <param name="batchRows">Of which so many are computed at once.</param>
    /// <param name="compute">Gives the new features of a batch, one row after the other.</param>
    public RowSet With(TrainingColumns others, int batchRows, Func<Batch, float[]> compute, CancellationToken token)
    {
        var computed = new RowSet(data, others, precision, classWeights, accepts, cacheBytes, where) { HasChecksum = HasChecksum, Rows = Rows, Weight = Weight, Checksum = Checksum, Classes = Classes };
        using (var pass = InOrder())
        {
            var batch = NewBatch(batchRows);
            while (pass.Fill(batch, token))
            {
                float[] features = compute(batch);
                for (int i = 0; i < batch.RowCount; i++) computed._store.Add(features.AsSpan(i * others.FeatureCount, others.FeatureCount), batch, i);
            }
        }
        _store.Release();
        return computed;
    }

    /// <summary>Whether rows of so many features fit in memory.</summary>
    public bool HasRoomFor(TrainingColumns others) => new RowStore(others, precision, cacheBytes).Capacity >= Rows;

    /// <summary>The rows in memory, where that is all of them; null where not.</summary>
    public RowStore? Store => IsCached ? _store : null;

    private RowReader Reader() => new(data, columns, precision, classWeights, where);
}
