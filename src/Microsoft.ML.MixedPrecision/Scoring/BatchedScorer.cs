using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The input with the network's output as one more column, computed in batches. ML.NET's own transformer runs the network
/// once for each row; a batch keeps the cores busy and pays the call once.
/// Row i is in batch i / <see cref="BatchRows"/>, whoever reads and whatever is skipped: the same data give the same bits. Whether they
/// are also those of ML.NET's row by row is up to ONNX Runtime (<see cref="OnnxSession"/>).
/// </summary>
internal sealed class BatchedScorer : IDataView
{
    // From 64 rows on, larger batches gain nothing on a CPU, and convolutions lose at 256, where activations leave the cache.
    private const int MaxBatchRows = 128, MaxBatchFloats = 4 << 20; // 16 MB of features at most

    private readonly IDataView _input;
    private readonly OnnxSession _session;
    private readonly int _featureIndex;
    private readonly int? _tokenIndex;

    /// <param name="input">Has the feature column, a vector of the session's length or of tokens.</param>
    /// <param name="schema">The input's schema with the output column appended.</param>
    /// <param name="featureColumn">What the network reads.</param>
    /// <param name="tokenColumn">And behind it, where it reads both numbers and tokens.</param>
    /// <param name="session">The network.</param>
    public BatchedScorer(IDataView input, DataViewSchema schema, string featureColumn, OnnxSession session, string? tokenColumn = null)
    {
        if (schema.Count != input.Schema.Count + 1)
            throw new ArgumentException($"Expected the input's {input.Schema.Count} columns and one more, got {schema.Count}.", nameof(schema));
        (_input, Schema, _session) = (input, schema, session);
        _featureIndex = input.Schema[featureColumn].Index;
        if (tokenColumn is not null) _tokenIndex = input.Schema[tokenColumn].Index;
        BatchRows = Math.Clamp(MaxBatchFloats / session.RowWidth, 1, MaxBatchRows);
    }

    public DataViewSchema Schema { get; }

    /// <summary>False: the columns that are passed through are read again, in step, and must come in the same order.</summary>
    public bool CanShuffle => false;

    internal int BatchRows { get; }

    private int OutputIndex => Schema.Count - 1;

    public long? GetRowCount() => _input.GetRowCount();

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null)
    {
        var active = new bool[Schema.Count];
        foreach (DataViewSchema.Column column in columnsNeeded) active[column.Index] = true;
        return new Cursor(this, active);
    }

    /// <summary>One cursor: ONNX Runtime already uses every core on a batch.</summary>
    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        [GetRowCursor(columnsNeeded, rand)];

    private DataViewRowCursor InputCursor(Func<int, bool> needed) => _input.GetRowCursor(_input.Schema.Where(column => needed(column.Index)));

    private sealed class Cursor(BatchedScorer owner, bool[] active) : DataViewRowCursor
    {
        private readonly DataViewRowCursor _rows = owner.InputCursor(index => active[index]);
        private readonly Lookahead? _lookahead = active[owner.OutputIndex] ? new Lookahead(owner) : null;

        public override long Position => _rows.Position;
        public override long Batch => _rows.Batch;
        public override DataViewSchema Schema => owner.Schema;

        public override bool MoveNext() => _rows.MoveNext();

        public override ValueGetter<DataViewRowId> GetIdGetter() => _rows.GetIdGetter();

        public override bool IsColumnActive(DataViewSchema.Column column) => active[column.Index];

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        {
            if (!active[column.Index])
                throw new ArgumentOutOfRangeException(nameof(column), $"Column '{column.Name}' was not asked for when the cursor was made.");
            if (column.Index != owner.OutputIndex) return _rows.GetGetter<TValue>(owner._input.Schema[column.Index]);

            ValueGetter<DataViewRowId> id = _rows.GetIdGetter();
            ValueGetter<VBuffer<float>> getter = (ref VBuffer<float> value) =>
            {
                DataViewRowId row = default;
                id(ref row);
                ReadOnlySpan<float> scores = _lookahead!.Scores(_rows.Position, row);
                VBufferEditor<float> editor = VBufferEditor.Create(ref value, scores.Length);
                scores.CopyTo(editor.Values);
                value = editor.Commit();
            };
            return getter as ValueGetter<TValue>
                ?? throw new InvalidOperationException($"Column '{column.Name}': expected a getter of {typeof(VBuffer<float>)}, got one of {typeof(TValue)}.");
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                _rows.Dispose();
                _lookahead?.Dispose();
            }
            base.Dispose(disposing);
        }
    }

    /// <summary>A second pass over the data that reads nothing but the features, one batch ahead.</summary>
    private sealed class Lookahead : IDisposable
    {
        private readonly OnnxSession _session;
        private readonly DataViewRowCursor _rows;
        private readonly FeatureReader _reader;
        private readonly ValueGetter<DataViewRowId> _getId;
        private readonly DataViewRowId[] _ids;
        private readonly float[] _features, _scores;
        private long _first;
        private int _count;

        public Lookahead(BatchedScorer owner)
        {
            _session = owner._session;
            _rows = owner.InputCursor(index => index == owner._featureIndex || index == owner._tokenIndex);
            DataViewSchema.Column features = owner._input.Schema[owner._featureIndex];
            _reader = new(_rows, _session.Features > 0 ? features : null, _session.Tokens == 0 ? null : owner._tokenIndex is { } tokens ? owner._input.Schema[tokens] : features);
            _getId = _rows.GetIdGetter();
            _ids = new DataViewRowId[owner.BatchRows];
            _features = new float[owner.BatchRows * _session.RowWidth];
            _scores = new float[owner.BatchRows * _session.Columns];
        }

        /// <summary>The network's output for the row at a position; positions never go back.</summary>
        public ReadOnlySpan<float> Scores(long position, DataViewRowId id)
        {
            if (position >= _first + _count) ScoreBatchOf(position);
            int row = checked((int)(position - _first));
            if (row < 0 || row >= _count || !_ids[row].Equals(id))
                throw new InvalidOperationException($"Row {position} was another row when the features were read ahead: expected data that come in the same order each time they are read; put mlContext.Data.Cache before scoring.");
            return _scores.AsSpan(row * _session.Columns, _session.Columns);
        }

        public void Dispose() => _rows.Dispose();

        private void ScoreBatchOf(long position)
        {
            _first = position - position % _ids.Length;
            _count = 0;
            while (_rows.Position < _first - 1 && _rows.MoveNext()) { }
            while (_count < _ids.Length && _rows.MoveNext())
            {
                _getId(ref _ids[_count]);
                var row = _features.AsSpan(_count * _session.RowWidth, _session.RowWidth);
                int length = _reader.Read(row[.._session.Features], row[_session.Features..]);
                if (length != _session.Features)
                    throw new InvalidOperationException($"Row {_rows.Position}: expected {_session.Features} features, got {length}.");
                _count++;
            }
            if (_count > 0) _session.Run(_features, _count, _scores);
        }
    }
}
