namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Which rows of one data set are for validation: a function of seed and row number alone, so that every pass over the data
/// splits it alike.
/// </summary>
internal readonly record struct RowFilter(float ValidationFraction, uint Seed)
{
    /// <summary>A stream that no layer, parameter or epoch draws from.</summary>
    private const uint Stream = 0xF000_0000;

    public bool IsValidation(long row) =>
        ValidationFraction > 0f && CounterRandom.ToUnit(CounterRandom.Philox((uint)row, (uint)(row >> 32), Seed, Stream).W0) < ValidationFraction;
}
