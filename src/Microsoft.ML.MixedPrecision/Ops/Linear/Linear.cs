namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// y = x W + b, of a vector or of each position of a sequence by itself. Weight and bias start uniform in ±1/sqrt(inputs), as PyTorch's Linear.
    /// </summary>
    /// <param name="outputs">Elements of the output vector, features of the output sequence; at least 1.</param>
    /// <param name="bias">Whether b is there.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="outputs"/> is less than 1.</exception>
    /// <exception cref="ArgumentException">The network's output here is an image.</exception>
    public Network Linear(int outputs, bool bias = true, string? name = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        return Apply(new Linear(outputs, bias), name);
    }
}

/// <summary>
/// y[r, o] = x[r, i] W[i, o] + b[o]; dx = dy W^T; dW = x^T dy; db = column sums of dy. A row is an example, or a position of one. W is stored [inputs, outputs], the
/// transpose of PyTorch's, so that the forward product reads both operands row by row.
/// </summary>
internal sealed class Linear(int outputs, bool bias) : Op
{
    private const int Weight = 0, Bias = 1; // in the order of Parameters

    public override string Kind => "Linear";

    /// <summary>Elements of an output row.</summary>
    public int Outputs => outputs;

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0] switch
    {
        { IsVector: true } => Shape.Vector(outputs),
        { IsSequence: true } s => Shape.Sequence(s.Length, outputs),
        var image => throw Misfit(name, "a vector or a sequence", image.Described, "put Flatten() or GlobalAvgPool2d() before it"),
    };

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs)
    {
        int fanIn = inputs[0].Channels;
        var weight = new ParameterSpec("Weight", new Initializer.FanIn(fanIn), fanIn, outputs);
        return bias ? [weight, new ParameterSpec("Bias", new Initializer.FanIn(fanIn), outputs)] : [weight];
    }

    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        int rows = pass.Batch * pass.OutputShape.Rows, inputs = pass.InputShapes[0].Channels;
        var y = pass.NewOutput();
        pass.Run(new MatrixProduct("Linear.Forward",
            new DenseOperand(pass.Input(0), rows, inputs, 0, inputs, Transposed: false),
            new DenseOperand(pass.Weight(Weight), inputs, outputs, 0, outputs, Transposed: false),
            y, 0, outputs, bias ? pass.Weight(Bias) : null));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        int rows = pass.Batch * pass.OutputShape.Rows, inputs = pass.InputShapes[0].Channels;
        var dy = pass.OutputGradient;
        pass.Run(new MatrixProduct("Linear.WeightGradient",
            new DenseOperand(pass.Input(0), inputs, rows, 0, inputs, Transposed: true),
            new DenseOperand(dy, rows, outputs, 0, outputs, Transposed: false),
            pass.WeightGradient(Weight), 0, outputs));
        if (bias) pass.Run(ColumnSum.Of(pass, dy, pass.WeightGradient(Bias)));
        if (pass.NeedsInputGradient(0))
        {
            pass.Run(new MatrixProduct("Linear.InputGradient",
                new DenseOperand(dy, rows, outputs, 0, outputs, Transposed: false),
                new DenseOperand(pass.Weight(Weight), outputs, inputs, 0, outputs, Transposed: true),
                pass.NewInputGradient(0), 0, inputs));
        }
    }

    public override string Export(OnnxScope scope)
    {
        string product = scope.Node("MatMul", [scope.Input(0), scope.Weight(Weight)]);
        return bias ? scope.Node("Add", [product, scope.Weight(Bias)]) : product;
    }
}
