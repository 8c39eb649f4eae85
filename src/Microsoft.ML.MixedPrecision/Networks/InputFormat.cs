namespace Microsoft.ML.MixedPrecision;

/// <summary>What the values of a network's feature column are.</summary>
/// <param name="PixelOrder">Of images.</param>
/// <param name="Vocabulary">Above 0 they are tokens, whole numbers below it, which stay FP32 until they are looked up: a half knows them up to 2,048 only.</param>
internal readonly record struct InputFormat(PixelOrder PixelOrder, int Vocabulary = 0)
{
    public bool IsTokens => Vocabulary > 0;
}
