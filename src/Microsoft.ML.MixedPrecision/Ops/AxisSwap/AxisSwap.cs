namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Copies [outer, lines, parts, blocks, size] to [parts, outer, blocks, lines, size], or back: the heads of attention apart, positions before examples. Blocks that were a line
/// from each other adjoin then. The first part is multiplied by <paramref name="scale"/> on the way.
/// </summary>
/// <param name="together">[outer, lines, parts * blocks * size].</param>
/// <param name="apart">[parts, outer * blocks, lines, size].</param>
internal sealed partial class AxisSwap(string name, Tensor together, Tensor apart, int blocks, AxisSwap.Direction direction, float scale = 1f) : Kernel
{
    internal enum Direction { Split, Join }

    public override string Name { get; } = name;
    public override IReadOnlyList<Tensor> Reads { get; } = [direction == Direction.Split ? together : apart];
    public override IReadOnlyList<Tensor> Writes { get; } = [direction == Direction.Split ? apart : together];

    /// <summary>A batch of sequences, [examples, positions, features], to [positions, examples, features].</summary>
    public static AxisSwap ToPositionsFirst(string name, Tensor sequences, Tensor positionsFirst) => OfSequences(name, sequences, positionsFirst, Direction.Split);

    /// <summary>And back.</summary>
    public static AxisSwap ToExamplesFirst(string name, Tensor positionsFirst, Tensor sequences) => OfSequences(name, sequences, positionsFirst, Direction.Join);

    private static AxisSwap OfSequences(string name, Tensor sequences, Tensor positionsFirst, Direction direction)
    {
        int examples = sequences.Dimensions[0], positions = sequences.Dimensions[1], features = sequences.Dimensions[2];
        return new(name, sequences.Reshape(1, examples, positions * features), positionsFirst.Reshape(1, positions, examples, features), positions, direction);
    }

    private int Outer => together.Dimensions[0];
    private int Lines => together.Dimensions[1];
    private int Parts => apart.Dimensions[0];
    private int Size => apart.Dimensions[^1];
}
