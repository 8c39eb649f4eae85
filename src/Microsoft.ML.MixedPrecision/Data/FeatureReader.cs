using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Reads what a network takes of a row: numbers, a vector of Single of their number; behind them, or alone, tokens: a vector of keys or UInt32 of any length, cut or filled up with 0.
/// </summary>
internal sealed class FeatureReader
{
    private readonly ValueGetter<VBuffer<float>>? _getNumbers;
    private readonly ValueGetter<VBuffer<uint>>? _getTokens;
    private VBuffer<float> _numbers;
    private VBuffer<uint> _tokens;

    /// <param name="row">Has the columns active.</param>
    /// <param name="numbers">Null where there are none.</param>
    /// <param name="tokens">Null where there are none.</param>
    public FeatureReader(DataViewRow row, DataViewSchema.Column? numbers, DataViewSchema.Column? tokens)
    {
        if (numbers is { } numbersColumn) _getNumbers = row.GetGetter<VBuffer<float>>(numbersColumn);
        if (tokens is { } tokenColumn) _getTokens = row.GetGetter<VBuffer<uint>>(tokenColumn);
    }

    /// <summary>Writes the current row.</summary>
    /// <param name="numbers">Is written where the vector in the column has that length.</param>
    /// <param name="tokens">Is always written.</param>
    /// <returns>The length of the vector of numbers in the column.</returns>
    public int Read(Span<float> numbers, Span<float> tokens)
    {
        _getTokens?.Invoke(ref _tokens);
        tokens.Clear();
        ReadOnlySpan<uint> values = _tokens.GetValues();
        ReadOnlySpan<int> places = _tokens.GetIndices(); // none where the vector is dense
        for (int i = 0; i < values.Length; i++)
        {
            int place = _tokens.IsDense ? i : places[i];
            if (place >= tokens.Length) break;
            tokens[place] = values[i];
        }
        _getNumbers?.Invoke(ref _numbers);
        if (_numbers.Length == numbers.Length) _numbers.CopyTo(numbers);
        return _numbers.Length;
    }
}
