namespace Microsoft.ML.MixedPrecision;

/// <summary>A value of an ONNX graph that depends on its input: what computes it here, and how the graph sees the elements of an example.</summary>
/// <param name="Network">Images are [height, width, channels] here, and [channels, height, width] in most graphs.</param>
/// <param name="Dimensions">Of an example as the graph has it, without the batch.</param>
/// <param name="Order">The axes of the network's shape in the order in which the graph has them: its elements, row by row, are those of the shape with its axes in this order.</param>
internal sealed record ImportedValue(Network Network, IReadOnlyList<int> Dimensions, IReadOnlyList<int> Order)
{
    /// <summary>A value whose elements the graph has in the order that they have here.</summary>
    public static ImportedValue Plain(Network network) => new(network, network.Shape.Dimensions, [.. Enumerable.Range(0, network.Shape.Rank)]);

    /// <summary>A value that the graph has channels first, behind the batch: an image, or a sequence that was turned.</summary>
    public static ImportedValue ChannelsFirst(Network network)
    {
        int[] order = [network.Shape.Rank - 1, .. Enumerable.Range(0, network.Shape.Rank - 1)];
        return new(network, Turned(network.Shape, order), order);
    }

    private Shape Shape => Network.Shape;

    /// <summary>Whether the elements come in the same order. Axes of one element are nowhere.</summary>
    public bool IsPlain => Axes.SequenceEqual(Axes.Order());

    /// <summary>Whether the graph has its channels first; a vector has nothing else.</summary>
    public bool HasChannelsFirst => Same(ChannelsFirst(Network));

    /// <summary>Whether it is the same here and in the graph: a vector, or a sequence [length, features].</summary>
    public bool HasChannelsLast => !Shape.IsImage && Same(Plain(Network));

    /// <summary>Whether it is a vector in the graph.</summary>
    public bool IsFlat => Dimensions.Count == 1;

    /// <summary>This value, if it is an image [channels, height, width] in the graph; of one pixel where it is a vector here. Else null.</summary>
    public ImportedValue? AsImage => Shape.IsVector && Dimensions is [_, 1, 1] ? ChannelsFirst(Network.Reshape(1, 1, Shape.Size)) : Shape.IsImage && HasChannelsFirst ? this : null;

    /// <summary>For each element as the graph has them, its place here.</summary>
    public int[] Places()
    {
        var strides = new int[Shape.Rank];
        for (int axis = Shape.Rank - 1, stride = 1; axis >= 0; stride *= Shape.Dimensions[axis--]) strides[axis] = stride;
        int[] places = [0];
        foreach (int axis in Order) places = [.. from place in places from i in Enumerable.Range(0, Shape.Dimensions[axis]) select place + i * strides[axis]];
        return places;
    }

    /// <summary>The same elements, in the same order of the graph, in other dimensions of it; null where there is no such value here.</summary>
    public ImportedValue? Reshaped(IReadOnlyList<int> dimensions)
    {
        if (dimensions.SequenceEqual(Dimensions)) return this;
        if (dimensions.Count == 1 && IsPlain && !Shape.IsVector) return Plain(Network.Flatten());
        if (dimensions.Count == 1 || dimensions.SequenceEqual(Turned(Shape, Order)) || (Shape.IsVector && dimensions is [_, 1, 1])) return this with { Dimensions = dimensions };
        if (!IsPlain) return null;
        return dimensions switch
        {
            [var length, var features] => Plain(Network.Reshape(length, features)),
            [var height, var width, var channels] => Plain(Network.Reshape(height, width, channels)),
            _ => null,
        };
    }

    /// <summary>The same elements with the graph's axes in another order; null where they are not those of an image or a sequence here.</summary>
    /// <param name="axes">Of an example.</param>
    public ImportedValue? Transposed(IReadOnlyList<int> axes) => AsImage is { } image && image != this ? image.Transposed(axes) : axes.Count == Dimensions.Count && Dimensions.SequenceEqual(Turned(Shape, Order))
        ? this with { Dimensions = [.. axes.Select(axis => Dimensions[axis])], Order = [.. axes.Select(axis => Order[axis])] }
        : null;

    /// <summary>The network to go on with behind the last value: a vector where the graph has one.</summary>
    public Network End => Dimensions.Count(d => d > 1) <= 1 ? Vector : Network;

    /// <summary>The elements as a vector.</summary>
    public Network Vector => Shape.IsVector ? Network : Network.Flatten();

    private bool Same(ImportedValue other) => Dimensions.SequenceEqual(other.Dimensions) && Axes.SequenceEqual(other.Axes);

    /// <summary>The axes along which there is more than one element, in the graph's order.</summary>
    private IEnumerable<int> Axes => Order.Where(axis => Shape.Dimensions[axis] > 1);

    private static int[] Turned(Shape shape, IReadOnlyList<int> order) => [.. order.Select(axis => shape.Dimensions[axis])];
}
