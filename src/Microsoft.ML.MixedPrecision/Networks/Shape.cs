namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The shape of one example, without the batch: a vector [n], a sequence [length, features], or an image [height, width, channels].
/// </summary>
public readonly struct Shape : IEquatable<Shape>
{
    private readonly int[]? _dimensions;

    private Shape(params int[] dimensions) => _dimensions = dimensions;

    /// <summary>A vector of <paramref name="size"/> elements.</summary>
    /// <param name="size">At least 1.</param>
    public static Shape Vector(int size) => new(Positive(size, nameof(size)));

    /// <summary>An image.</summary>
    /// <param name="height">Rows, at least 1.</param>
    /// <param name="width">Columns, at least 1.</param>
    /// <param name="channels">Values of each pixel, at least 1.</param>
    public static Shape Image(int height, int width, int channels) =>
        new(Positive(height, nameof(height)), Positive(width, nameof(width)), Positive(channels, nameof(channels)));

    /// <summary>A sequence: a vector of features at each position.</summary>
    /// <param name="length">Positions, at least 1.</param>
    /// <param name="features">Values at each position, at least 1.</param>
    public static Shape Sequence(int length, int features) => new(Positive(length, nameof(length)), Positive(features, nameof(features)));

    /// <summary>1 for a vector, 2 for a sequence, 3 for an image.</summary>
    public int Rank => Dimensions.Count;

    /// <summary>The extents: [n], [length, features] or [height, width, channels].</summary>
    public IReadOnlyList<int> Dimensions => _dimensions ?? [];

    /// <summary>True for [n].</summary>
    public bool IsVector => Rank == 1;

    /// <summary>True for [length, features].</summary>
    public bool IsSequence => Rank == 2;

    /// <summary>True for [height, width, channels].</summary>
    public bool IsImage => Rank == 3;

    /// <summary>Positions of a sequence.</summary>
    /// <exception cref="InvalidOperationException">The shape is not a sequence.</exception>
    public int Length => IsSequence ? Dimensions[0] : throw new InvalidOperationException("The shape is not a sequence [length, features].");

    /// <summary>Rows of an image.</summary>
    /// <exception cref="InvalidOperationException">The shape is not an image.</exception>
    public int Height => IsImage ? Dimensions[0] : throw NotAnImage();

    /// <summary>Columns of an image.</summary>
    /// <exception cref="InvalidOperationException">The shape is not an image.</exception>
    public int Width => IsImage ? Dimensions[1] : throw NotAnImage();

    /// <summary>Channels of an image, features of a sequence, elements of a vector: the innermost extent.</summary>
    public int Channels => Dimensions[^1];

    /// <summary>Number of elements.</summary>
    public int Size
    {
        get
        {
            int size = 1;
            foreach (int d in Dimensions) size = checked(size * d);
            return size;
        }
    }

    /// <summary>The shape in words: "an image 28x28x1".</summary>
    internal string Described => $"{(IsVector ? "a vector" : IsSequence ? "a sequence" : "an image")} {this}";

    /// <summary>Vectors that an example consists of: 1, the positions of a sequence, the pixels of an image.</summary>
    internal int Rows => Size / Channels;

    /// <summary>The extents of a batch of this shape.</summary>
    internal int[] Batched(int batch) => [batch, .. Dimensions];

    /// <inheritdoc/>
    public bool Equals(Shape other) => Dimensions.SequenceEqual(other.Dimensions);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Shape other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (int d in Dimensions) hash.Add(d);
        return hash.ToHashCode();
    }

    /// <summary>Equal extents.</summary>
    public static bool operator ==(Shape left, Shape right) => left.Equals(right);

    /// <summary>Different extents.</summary>
    public static bool operator !=(Shape left, Shape right) => !left.Equals(right);

    /// <summary>The extents, as "28x28x1".</summary>
    public override string ToString() => string.Join('x', Dimensions);

    private static int Positive(int value, string name)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
        return value;
    }

    private static InvalidOperationException NotAnImage() => new("The shape is not an image [height, width, channels].");
}
