namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// A network that takes numbers and tokens: measured columns beside categories, a text beside what is known of it. The numbers are the feature column, a vector of <paramref name="numbers"/> Single; the tokens are a column of their own,
    /// <see cref="MixedPrecisionTrainer.Options.TokenColumnName"/>, as <see cref="Tokens"/> has them. <c>Network.Concat(table.Numbers, table.Tokens.Embedding(8).Flatten())</c> brings them together.
    /// </summary>
    /// <param name="numbers">Elements of the feature column, at least 1.</param>
    /// <param name="length">Tokens of an example that are read, at least 1.</param>
    /// <param name="vocabulary">One more than the largest token: 2 to 16,777,216.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public static TableInput Table(int numbers, int length, int vocabulary)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(numbers, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        TokenInput.CheckVocabulary(vocabulary);
        var row = Input(Shape.Vector(checked(numbers + length)), new(PixelOrder.Interleaved, vocabulary, numbers));
        return new(row.Apply(new InputNumbers(numbers), "Numbers"), new(row.Apply(new InputTokens(numbers), "Tokens")));
    }
}

/// <summary>A network's input of numbers and tokens.</summary>
public sealed class TableInput
{
    internal TableInput(Network numbers, TokenInput tokens) => (Numbers, Tokens) = (numbers, tokens);

    /// <summary>The numbers, a vector.</summary>
    public Network Numbers { get; }

    /// <summary>The tokens.</summary>
    public TokenInput Tokens { get; }
}
