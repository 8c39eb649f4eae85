namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// Moves each image by some pixels along both axes, zeros coming in, and mirrors half of them left to right, at random: more images than there are. As torchvision's RandomCrop of the image's size with as much
    /// padding, and RandomHorizontalFlip. Only in training: inference passes its input on. How an image is moved is a function of the seed, the layer, the pass and the image's place in the batch alone: a run repeats
    /// bit for bit, on any device.
    /// </summary>
    /// <param name="shift">The most pixels along each axis, either way, all numbers equally often; from 0, the default, to below height and width.</param>
    /// <param name="flip">Whether an image is mirrored with a probability of 1/2; by default none is.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="shift"/> is negative.</exception>
    /// <exception cref="ArgumentException">There is neither a shift nor a flip, or the network's output here is not an image that is larger than the shift.</exception>
    public Network Augment(int shift = 0, bool flip = false, string? name = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(shift);
        if (shift == 0 && !flip) throw new ArgumentException("Augment: expected a shift, a flip or both, got neither.", nameof(shift));
        return Apply(new Augment(shift, flip), name);
    }
}

/// <summary>y[n, h, w] = x[n, h + down, m(w + right)], or 0 where that is outside; dx[n, h, w] = dy[n, h - down, m(w) - right]; m mirrors, or does nothing. Nothing is stored: both directions draw the move anew.</summary>
internal sealed class Augment(int shift, bool flip) : Op
{
    public override string Kind => "Augment";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs)
    {
        var input = inputs[0];
        if (!input.IsImage) throw Misfit(name, "an image [height, width, channels]", input.Described, "start from Network.Image(...), or put Reshape(height, width, channels) before it");
        if (shift >= Math.Min(input.Height, input.Width)) throw Misfit(name, $"an image of more than {shift} pixels along both axes", input.Described, "choose a smaller shift");
        return input;
    }

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        if (!pass.Augments) return pass.Input(0);
        var y = pass.NewOutput();
        pass.Run(new ImageMove("Augment.Forward", pass.Input(0), y, pass.Counters, new(pass.Seed, (uint)pass.LayerNumber, shift, flip), backward: false));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        if (pass.NeedsInputGradient(0))
            pass.Run(new ImageMove("Augment.Backward", pass.OutputGradient, pass.NewInputGradient(0), pass.Counters, new(pass.Seed, (uint)pass.LayerNumber, shift, flip), backward: true));
    }

    public override string Export(OnnxScope scope) => scope.Input(0);
}

/// <summary>to[n, h, w] = from[n, h + down, m(w + right)], or backward from[n, h - down, m(w) - right].</summary>
internal sealed partial class ImageMove(string name, Tensor from, Tensor to, Tensor counters, MoveDraw draw, bool backward) : Kernel
{
    public override string Name { get; } = name;
    public override IReadOnlyList<Tensor> Reads { get; } = [from, counters];
    public override IReadOnlyList<Tensor> Writes { get; } = [to];

    private int Height => to.Dimensions[1];
    private int Width => to.Dimensions[2];
    private int Channels => to.Dimensions[3];
}

/// <summary>How moves are drawn: for image n by Philox at counter (n, pass), key (seed, layer).</summary>
internal readonly struct MoveDraw(uint seed, uint layer, int shift, bool flip)
{
    private readonly uint _seed = seed, _layer = layer, _moves = 2 * (uint)shift + 1;
    private readonly int _shift = shift, _flip = flip ? 1 : 0; // no Boolean crosses to a GPU

    public static Move Of(MoveDraw draw, int image, uint pass)
    {
        var words = CounterRandom.Philox((uint)image, pass, draw._seed, draw._layer);
        return new(Shift(draw, words.W0), Shift(draw, words.W1), draw._flip & (int)(words.W2 >> 31));
    }

    /// <summary>-shift to shift by the word's upper half: of 65,536 values each has as many as the next, or one more.</summary>
    private static int Shift(MoveDraw draw, uint word) => (int)((word >> 16) * draw._moves >> 16) - draw._shift;
}

/// <param name="Flip">1 where the image is mirrored, else 0.</param>
internal readonly record struct Move(int Down, int Right, int Flip)
{
    public static int Row(Move move, int row, bool backward) => backward ? row - move.Down : row + move.Down;

    public static int Column(Move move, int column, int width, bool backward) =>
        backward ? Mirrored(move, column, width) - move.Right : Mirrored(move, column + move.Right, width);

    private static int Mirrored(Move move, int column, int width) => move.Flip == 0 ? column : width - 1 - column;
}
