namespace Microsoft.ML.MixedPrecision;

/// <summary>What an element of a tensor is.</summary>
internal enum ElementType
{
    /// <summary>The plan's working storage: half in <see cref="Precision.Mixed"/>, single in <see cref="Precision.Single"/>.</summary>
    Working,

    /// <summary>Always FP32: master weights, optimizer state, statistics, losses.</summary>
    Single,

    /// <summary>Counters, labels, flags, indices.</summary>
    Int32,
}

/// <summary>Which arena a tensor lives in, by how long it is needed.</summary>
internal enum Region
{
    /// <summary>For as long as the session lives: weights, masters, running statistics, control.</summary>
    Parameters,

    /// <summary>For the whole training, and no longer: weight gradients, optimizer state.</summary>
    Training,

    /// <summary>Within one step; freed regions are reused.</summary>
    Activations,

    /// <summary>Written by the host before a step, or read by it after one.</summary>
    Staging,
}

/// <summary>
/// A block of elements in a plan: shape, storage, place. It holds no data; a backend gives it memory.
/// Images are NHWC, and the first dimension of an activation is the batch.
/// </summary>
internal sealed class Tensor
{
    private readonly Tensor? _owner;
    private readonly long _start; // elements into the owner

    public Tensor(string name, ElementType element, Region region, params ReadOnlySpan<int> dimensions)
    {
        Name = name;
        Element = element;
        Region = region;
        Dimensions = dimensions.ToArray();
        long length = 1;
        foreach (int d in dimensions) length = checked(length * d);
        Length = length;
    }

    private Tensor(string name, Tensor owner, long start, ReadOnlySpan<int> dimensions)
        : this(name, owner.Element, owner.Region, dimensions)
    {
        if (start < 0 || start + Length > owner.Length)
            throw new ArgumentOutOfRangeException(nameof(start), $"'{name}' needs elements {start} to {start + Length} of '{owner.Name}', which has {owner.Length}.");
        _owner = owner._owner ?? owner;
        _start = owner._start + start;
    }

    public string Name { get; }
    public ElementType Element { get; }
    public Region Region { get; }
    public IReadOnlyList<int> Dimensions { get; }

    /// <summary>Number of elements.</summary>
    public long Length { get; }

    /// <summary>The tensor whose memory this one is a view of; itself where it is no view.</summary>
    public Tensor Owner => _owner ?? this;

    /// <summary>Where the first element lies, in elements from the start of <see cref="Owner"/>.</summary>
    public long Start => _start;

    /// <summary>Bytes from the start of its arena to <see cref="Owner"/>'s first element; set once by the memory planner.</summary>
    public long ArenaOffset
    {
        get => _owner is null ? field : _owner.ArenaOffset;
        set
        {
            if (_owner is not null) throw new InvalidOperationException($"'{Name}' is a view; place '{_owner.Name}'.");
            field = value;
        }
    } = -1;

    /// <summary>A view of part of this tensor, or of all of it in another shape.</summary>
    public Tensor Slice(string name, long start, params ReadOnlySpan<int> dimensions) => new(name, this, start, dimensions);

    /// <summary>The same elements in another shape.</summary>
    public Tensor Reshape(params ReadOnlySpan<int> dimensions) => new(Name, this, 0, dimensions);

    public override string ToString() => $"{Name} [{string.Join('x', Dimensions)}] {Element}";
}
