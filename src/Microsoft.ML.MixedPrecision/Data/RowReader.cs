using System.Numerics.Tensors;
using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// One pass over an <see cref="IDataView"/>: each row checked and made dense. Reading a row allocates nothing of its own.
/// </summary>
internal sealed class RowReader : IDisposable
{
    private readonly DataViewRowCursor _cursor;
    private readonly FeatureReader _featureReader;
    private readonly Action _readLabel;
    private readonly ValueGetter<float>? _getWeight;
    private readonly TrainingColumns _columns;
    private readonly IReadOnlyList<float>? _classWeights;
    private readonly string _where;
    private readonly float _largest;
    private readonly int _numbers;
    private readonly float[] _features, _values;
    private VBuffer<float> _labelBuffer;

    /// <param name="columns">Checked against the schema of <paramref name="data"/>.</param>
    /// <param name="precision">Mixed: values beyond +-65504 are refused, because they are infinite as halves.</param>
    /// <param name="classWeights">A factor for the weight of each class; null for 1 each.</param>
    /// <param name="where">Begins every message: empty, or which data set it is.</param>
    public RowReader(IDataView data, TrainingColumns columns, Precision precision, IReadOnlyList<float>? classWeights, string where)
    {
        (_columns, _classWeights, _where) = (columns, classWeights, where);
        _largest = precision == Precision.Mixed ? (float)Half.MaxValue : float.MaxValue;
        var schema = data.Schema;
        DataViewSchema.Column features = schema[columns.Features], label = schema[columns.Label];
        DataViewSchema.Column? tokens = columns.Tokens is { } tokenColumn ? schema[tokenColumn] : null, weight = columns.Weight is { } weightColumn ? schema[weightColumn] : null;
        DataViewSchema.Column[] needed = [.. new[] { features, label, tokens, weight }.OfType<DataViewSchema.Column>()];
        _features = new float[columns.FeatureCount];
        _numbers = columns.Format.NumbersOf(columns.FeatureCount);
        _values = columns.Task == ScoringTask.Multiclass ? [] : new float[columns.Outputs];
        _cursor = data.GetRowCursor(needed);
        try
        {
            _featureReader = new(_cursor, _numbers > 0 ? features : null, _numbers == 0 ? features : tokens);
            if (weight is { } column) _getWeight = _cursor.GetGetter<float>(column);
            _readLabel = LabelReader(label);
        }
        catch
        {
            _cursor.Dispose();
            throw;
        }
    }

    /// <summary>The number of the current row in the data, from 0.</summary>
    public long Row => _cursor.Position;

    /// <summary>The class of the current row from 0; where the task has classes.</summary>
    public int Class { get; private set; }

    public float Weight { get; private set; }

    public ReadOnlySpan<float> Features => _features;

    /// <summary>The label's values: empty for keys, 0 or 1 for a Boolean.</summary>
    public ReadOnlySpan<float> Values => _values;

    /// <exception cref="InvalidOperationException">The row cannot be trained on: column, row, expected, got, remedy.</exception>
    public bool Read()
    {
        if (!_cursor.MoveNext()) return false;
        ReadFeatures();
        _readLabel();
        Weight = 1f;
        if (_getWeight is { } getWeight)
        {
            float weight = 0f;
            getWeight(ref weight);
            if (!(weight >= 0f && float.IsFinite(weight)))
                throw Bad("Example weight", _columns.Weight!, "a finite weight of at least 0", $"{weight}", "correct it, or remove the row with Data.FilterRowsByColumn");
            Weight = weight;
        }
        if (_classWeights is not null) Weight *= _classWeights[Class];
        return true;
    }

    public void Dispose() => _cursor.Dispose();

    private Action LabelReader(DataViewSchema.Column label)
    {
        switch (_columns.Task)
        {
            case ScoringTask.Multiclass:
                var type = label.Type.RawType;
                return type == typeof(uint) ? KeyReader(_cursor.GetGetter<uint>(label), k => k)
                    : type == typeof(byte) ? KeyReader(_cursor.GetGetter<byte>(label), k => k)
                    : type == typeof(ushort) ? KeyReader(_cursor.GetGetter<ushort>(label), k => k)
                    : KeyReader(_cursor.GetGetter<ulong>(label), k => k);
            case ScoringTask.Binary:
                var getBoolean = _cursor.GetGetter<bool>(label);
                return () =>
                {
                    bool value = false;
                    getBoolean(ref value);
                    Class = value ? 1 : 0;
                    _values[0] = Class;
                };
            case ScoringTask.Regression:
                var getSingle = _cursor.GetGetter<float>(label);
                return () =>
                {
                    getSingle(ref _values[0]);
                    CheckValues();
                };
            default:
                var getVector = _cursor.GetGetter<VBuffer<float>>(label);
                return () =>
                {
                    getVector(ref _labelBuffer);
                    if (_labelBuffer.Length != _values.Length)
                        throw Bad("Label", _columns.Label, $"{_values.Length} values", $"{_labelBuffer.Length}", "give every row the same number of values");
                    _labelBuffer.CopyTo(_values);
                    CheckValues();
                };
        }
    }

    private Action KeyReader<TKey>(ValueGetter<TKey> get, Func<TKey, ulong> toNumber) => () =>
    {
        TKey key = default!;
        get(ref key);
        ulong number = toNumber(key); // keys count from 1; 0 is a missing value
        if (number == 0 || number > (ulong)_columns.Outputs)
            throw Bad("Label", _columns.Label, $"one of the {_columns.Outputs} classes", number == 0 ? "a missing value" : $"key {number}", "remove the row, or map the labels with Transforms.Conversion.MapValueToKey over all of them");
        Class = (int)(number - 1);
    };

    private void ReadFeatures()
    {
        Span<float> numbers = _features.AsSpan(0, _numbers), tokens = _features.AsSpan(_numbers);
        int length = _featureReader.Read(numbers, tokens);
        if (length != numbers.Length) throw Bad("Features", _columns.Features, $"{numbers.Length} values", $"{length}", "give every row the same number of features");
        if (!numbers.IsEmpty && !Fits(numbers)) ThrowFor("Features", _columns.Features, numbers, "features");

        int vocabulary = _columns.Format.Vocabulary, i = 0;
        if (tokens.IsEmpty || TensorPrimitives.Max<float>(tokens) < vocabulary) return;
        while (tokens[i] < vocabulary) i++;
        throw Bad(_numbers > 0 ? "Token" : "Features", _columns.Tokens ?? _columns.Features, $"tokens up to {vocabulary - 1}", FormattableString.Invariant($"{tokens[i]}, element {i}"),
            "make the vocabulary of the network one more than the largest token, or tokens that are not in it 0");
    }

    /// <summary>The value of largest magnitude has its sign, and is NaN where one is.</summary>
    private bool Fits(ReadOnlySpan<float> values) => MathF.Abs(TensorPrimitives.MaxMagnitude(values)) <= _largest;

    private void CheckValues()
    {
        if (!Fits(_values)) ThrowFor("Label", _columns.Label, _values, "labels");
    }

    private void ThrowFor(string role, string column, ReadOnlySpan<float> values, string plural)
    {
        int i = 0;
        while (MathF.Abs(values[i]) <= _largest) i++;
        string element = values.Length > 1 ? $", element {i}" : "";
        throw float.IsFinite(values[i])
            ? Bad(role, column, "a magnitude of at most 65504, the largest half", FormattableString.Invariant($"{values[i]}{element}"), $"scale the {plural} (Transforms.NormalizeMeanVariance), or train with Precision.Single")
            : Bad(role, column, "a finite value", FormattableString.Invariant($"{values[i]}{element}"), "replace missing values (Transforms.ReplaceMissingValues), or remove the row (Data.FilterRowsByMissingValues)");
    }

    private InvalidOperationException Bad(string role, string column, string expected, string got, string remedy) =>
        new($"{_where}{role} column '{column}', row {Row} (the first is 0): expected {expected}, got {got}; {remedy}.");
}
