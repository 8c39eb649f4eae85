namespace Microsoft.ML.MixedPrecision;

/// <summary>What the values of a row are that a network takes: numbers, tokens, or numbers and behind them tokens.</summary>
/// <param name="PixelOrder">Of images.</param>
/// <param name="Vocabulary">Above 0 there are tokens, whole numbers below it, and the row stays FP32 until they are looked up: a half knows them up to 2,048 only.</param>
/// <param name="Numbers">Of a row that has tokens: the numbers before them.</param>
internal readonly record struct InputFormat(PixelOrder PixelOrder, int Vocabulary = 0, int Numbers = 0)
{
    public bool HasTokens => Vocabulary > 0;

    /// <summary>Numbers from one column, tokens from another.</summary>
    public bool IsTable => Numbers > 0;

    /// <summary>The numbers of a row of so many values, which come before its tokens.</summary>
    public int NumbersOf(int width) => HasTokens ? Numbers : width;
}
