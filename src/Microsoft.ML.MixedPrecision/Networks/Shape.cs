namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The shape of one example, without the batch: a vector [n], or an image [height, width, channels].
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

    /// <summary>1 for a vector, 3 for an image.</summary>
    public int Rank => Dimensions.Count;

    /// <summary>The extents: [n], or [height, width, channels].</summary>
    public IReadOnlyList<int> Dimensions => _dimensions ?? [];

    /// <summary>True for [n].</summary>
    public bool IsVector => Rank == 1;

    /// <summary>True for [height, width, channels].</summary>
    public bool IsImage => Rank == 3;

    /// <summary>Rows of an image.</summary>
    /// <exception cref="InvalidOperationException">The shape is not an image.</exception>
    public int Height => IsImage ? Dimensions[0] : throw NotAnImage();

    /// <summary>Columns of an image.</summary>
    /// <exception cref="InvalidOperationException">The shape is not an image.</exception>
    public int Width => IsImage ? Dimensions[1] : throw NotAnImage();

    /// <summary>Channels of an image, elements of a vector: the innermost extent.</summary>
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
