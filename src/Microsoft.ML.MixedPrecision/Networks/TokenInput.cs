namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// A network that takes tokens: words, parts of words, categories, items, each by its number. The feature column is a vector of keys, as <c>MapValueToKey</c> gives them for the words of
    /// <c>TokenizeIntoWords</c>, or of <see cref="uint"/>, of any length: what lies behind <paramref name="length"/> tokens is cut off, and fewer are filled up with 0. Token 0 is none: a missing
    /// value, as it is of keys.
    /// </summary>
    /// <param name="length">Tokens of an example that are read, at least 1.</param>
    /// <param name="vocabulary">One more than the largest token, which for keys is their number: 2 to 16,777,216, below which an FP32 value holds every whole number.</param>
    /// <returns>The tokens, for an <see cref="TokenInput.Embedding"/> of them.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public static TokenInput Tokens(int length, int vocabulary)
    {
        TokenInput.CheckVocabulary(vocabulary);
        return new(Input(Shape.Vector(length), new(PixelOrder.Interleaved, vocabulary)));
    }
}

/// <summary>A network's input of tokens: numbers that name something and measure nothing, so that they are looked up, and otherwise tell where there are none: what takes a mask leaves out the positions of token 0.</summary>
public sealed class TokenInput
{
    private const int LargestVocabulary = 1 << 24;

    internal TokenInput(Network input) => Input = input;

    internal Network Input { get; }

    internal static void CheckVocabulary(int vocabulary)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabulary, 2);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vocabulary, LargestVocabulary);
    }

    /// <summary>Tokens of an example.</summary>
    public int Length => Input.Shape.Size;

    /// <summary>One more than the largest token.</summary>
    public int Vocabulary => Input.InputFormat.Vocabulary;

    /// <summary>
    /// A trained vector for each token: [length] to the sequence [length, features], as PyTorch's Embedding with padding_idx = 0. Vectors start normal with a deviation of 1; that of token 0 is
    /// zero and stays so.
    /// </summary>
    /// <param name="features">Elements of a vector, at least 1. A multiple of 8 is faster.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="features"/> is less than 1, or with so many rows more than a parameter can have.</exception>
    public Network Embedding(int features, string? name = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(features, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(features, Array.MaxLength / Vocabulary);
        return Input.Apply(new Embedding(Vocabulary, features), name);
    }
}
