namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// Long short-term memory (Hochreiter and Schmidhuber, 1997; with forget gates, Gers et al., 2000) as PyTorch's LSTM with one layer: from position to position,
    /// i, f, o = sigmoid(x W + h U + b), g = tanh(x W + h U + b), c = f c + i g, h = o tanh(c), with h and c starting at 0. c is FP32. Weights and bias start uniform in
    /// ±1/sqrt(hidden); there is one bias, which is the sum of PyTorch's two.
    /// </summary>
    /// <param name="hidden">Features of h, at least 1.</param>
    /// <param name="returnSequence">Whether the output is h at every position, [length, hidden], for another layer of the kind; by default it is. Else the last one, a vector [hidden]; of texts of different lengths that is <see cref="LastToken"/>.</param>
    /// <param name="bidirectional">Whether another one, with weights of its own, goes from the last position to the first. The output has both h beside each other, [length, 2 hidden], or where each ends, [2 hidden]. In a text that is
    /// shorter than the sequence it begins behind the last token. By default there is one direction.</param>
    /// <param name="name">The layer's name in messages and in the exported model; by default its kind and number. Two directions are called <c>name.Forward</c> and <c>name.Backward</c>.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="hidden"/> is less than 1.</exception>
    /// <exception cref="ArgumentException">The network's output here is not a sequence of at least 2 positions.</exception>
    public Network Lstm(int hidden, bool returnSequence = true, bool bidirectional = false, string? name = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(hidden);
        if (!bidirectional) return Apply(new Lstm(hidden, returnSequence), name);
        name ??= NextName("Lstm", [Node]);
        return Apply(new Concat(), name, Apply(new Lstm(hidden, returnSequence), $"{name}.Forward"), Apply(new Lstm(hidden, returnSequence, reverse: true), $"{name}.Backward"));
    }
}

/// <summary>
/// Positions come first inside, [positions, examples, ...], so that what a position reads and writes adjoins, and all positions together are one matrix: x W + b is one product, and
/// so are the gradients of W, U and x. Between them each position has a product of its own, h U forward and dgates U^T backward, and a kernel for the cells. In reverse the steps go from the last position to the first.
/// Gates lie in the order i, f, g, o, as PyTorch's.
/// </summary>
internal sealed class Lstm(int hidden, bool returnSequence, bool reverse = false) : Op
{
    private const int InputWeight = 0, RecurrentWeight = 1, Bias = 2;    // in the order of Parameters
    private const int Inputs = 0, Gates = 1, States = 2, Cells = 3;      // in the order of saving

    public override string Kind => "Lstm";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs)
    {
        var input = inputs[0];
        if (!input.IsSequence) throw Misfit(name, "a sequence [length, features]", input.Described, "start from Network.Sequence(...), or put Reshape(length, features) before it");
        if (input.Length < 2) throw Misfit(name, "a sequence of at least 2 positions", input.Described, "a Linear does for one");
        return returnSequence ? Shape.Sequence(input.Length, hidden) : Shape.Vector(hidden);
    }

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs)
    {
        var initializer = new Initializer.FanIn(hidden);
        return [new("InputWeight", initializer, inputs[0].Channels, 4 * hidden), new("RecurrentWeight", initializer, hidden, 4 * hidden), new("Bias", initializer, 4 * hidden)];
    }

    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        int batch = pass.Batch, length = pass.InputShapes[0].Length, features = pass.InputShapes[0].Channels, all = length * batch;
        var inputs = pass.New("Inputs", ElementType.Working, length, batch, features);
        var gates = pass.New("Gates", ElementType.Working, length, batch, 4 * hidden);
        var states = pass.New("States", ElementType.Working, length, batch, hidden); // the last one elsewhere, where it is the output
        var y = pass.NewOutput();
        var cells = pass.New("Cells", ElementType.Single, length, batch, hidden);
        foreach (var tensor in (Tensor[])[inputs, gates, states, cells]) pass.Save(tensor);

        pass.Run(AxisSwap.ToPositionsFirst("Lstm.Turn", pass.Input(0), inputs));
        pass.Run(new MatrixProduct("Lstm.Inputs", Rows(inputs, all, features), Rows(pass.Weight(InputWeight), features, 4 * hidden), gates, 0, 4 * hidden, pass.Weight(Bias)));
        for (int step = 0; step < length; step++)
        {
            int position = PositionOf(step, length), before = PositionOf(step - 1, length);
            Tensor? recurrent = null;
            if (step > 0)
            {
                recurrent = pass.New($"Recurrent{position}", ElementType.Working, batch, 4 * hidden);
                pass.Run(new MatrixProduct("Lstm.Recurrent", Rows(states, batch, hidden, before), Rows(pass.Weight(RecurrentWeight), hidden, 4 * hidden), recurrent, 0, 4 * hidden));
            }
            var state = !returnSequence && step == length - 1 ? y : At(states, position);
            pass.Run(new LstmForward(At(gates, position), recurrent, step > 0 ? At(cells, before) : null, At(cells, position), state));
        }
        if (returnSequence) pass.Run(AxisSwap.ToExamplesFirst("Lstm.TurnBack", states, y));
        return y;
    }

    public override void Backward(BackwardPass pass)
    {
        int batch = pass.Batch, length = pass.InputShapes[0].Length, features = pass.InputShapes[0].Channels, all = length * batch;
        var (inputs, gates, states, cells) = (pass.Saved[Inputs], pass.Saved[Gates], pass.Saved[States], pass.Saved[Cells]);
        var dGates = pass.New("GatesGradient", ElementType.Working, length, batch, 4 * hidden);
        var carry = pass.New("CellGradient", ElementType.Single, batch, hidden);
        var dOutput = pass.OutputGradient;
        if (returnSequence)
        {
            dOutput = pass.New("StatesGradient", ElementType.Working, length, batch, hidden);
            pass.Run(AxisSwap.ToPositionsFirst("Lstm.TurnGradient", pass.OutputGradient, dOutput));
        }
        for (int step = length - 1; step >= 0; step--)
        {
            int position = PositionOf(step, length);
            Tensor? later = null;
            if (step < length - 1)
            {
                later = pass.New($"StateGradient{position}", ElementType.Working, batch, hidden);
                pass.Run(new MatrixProduct("Lstm.StateGradient", Rows(dGates, batch, 4 * hidden, PositionOf(step + 1, length)), Columns(pass.Weight(RecurrentWeight), 4 * hidden, hidden), later, 0, hidden));
            }
            var outside = returnSequence ? At(dOutput, position) : step == length - 1 ? dOutput : null;
            pass.Run(new LstmBackward(At(gates, position), step > 0 ? At(cells, PositionOf(step - 1, length)) : null, At(cells, position), outside, later, carry, At(dGates, position)));
        }
        pass.Run(new MatrixProduct("Lstm.InputWeightGradient", Columns(inputs, features, all), Rows(dGates, all, 4 * hidden), pass.WeightGradient(InputWeight), 0, 4 * hidden));
        // The state before a step is that of the step before: all but the last, with the gates of all but the first.
        int firstState = reverse ? 1 : 0, firstGates = 1 - firstState;
        pass.Run(new MatrixProduct("Lstm.RecurrentWeightGradient",
            new DenseOperand(states, hidden, all - batch, (long)firstState * batch * hidden, hidden, Transposed: true), new DenseOperand(dGates, all - batch, 4 * hidden, (long)firstGates * batch * 4 * hidden, 4 * hidden, Transposed: false),
            pass.WeightGradient(RecurrentWeight), 0, 4 * hidden));
        pass.Run(ColumnSum.Of(pass, dGates, pass.WeightGradient(Bias)));
        if (!pass.NeedsInputGradient(0)) return;
        var dInputs = pass.New("InputsGradient", ElementType.Working, length, batch, features);
        pass.Run(new MatrixProduct("Lstm.InputGradient", Rows(dGates, all, 4 * hidden), Columns(pass.Weight(InputWeight), 4 * hidden, features), dInputs, 0, features));
        pass.Run(AxisSwap.ToExamplesFirst("Lstm.TurnInputGradient", dInputs, pass.NewInputGradient(0)));
    }

    public override string Export(OnnxScope scope)
    {
        // FP32, which is what ONNX Runtime has on a CPU; weights as the training forward pass reads them. Positions come first there too.
        var (g, name, input) = (scope.Graph, scope.Name, scope.InputShapes[0]);
        string x = g.Node("Transpose", $"{name}.Turn", [g.ToSingle(scope.Input(0), $"{name}.x")], ("perm", new long[] { 1, 0, 2 }));
        string[] outputs = g.Nodes("LSTM", name,
            [
                x, g.Single($"{name}.InputWeight", GatesFirst(Rounded(InputWeight), input.Channels), 1, 4 * hidden, input.Channels),
                g.Single($"{name}.RecurrentWeight", GatesFirst(Rounded(RecurrentWeight), hidden), 1, 4 * hidden, hidden),
                g.Single($"{name}.Bias", [.. GatesFirst(Rounded(Bias), 1), .. new float[4 * hidden]], 1, 8 * hidden),
            ], 2, ("hidden_size", (long)hidden), ("direction", reverse ? "reverse" : "forward"));
        string y = returnSequence
            ? g.Reshape(g.Node("Transpose", $"{name}.TurnBack", [outputs[0]], ("perm", new long[] { 2, 0, 1, 3 })), $"{name}.Sequence", input.Length, hidden)
            : g.Reshape(g.Node("Transpose", $"{name}.TurnBack", [outputs[1]], ("perm", new long[] { 1, 0, 2 })), $"{name}.Last", hidden);
        return g.ToWorking(y, $"{name}.y");

        float[] Rounded(int parameter) => g.Precision == OnnxPrecision.Half ? [.. scope.ParameterValues(parameter).Select(v => (float)(Half)v)] : scope.ParameterValues(parameter);
    }

    /// <summary>[inputs, 4 hidden] with gates i, f, g, o as ONNX has it: [4 hidden, inputs] with i, o, f, g.</summary>
    private float[] GatesFirst(float[] weights, int inputs)
    {
        var turned = new float[weights.Length];
        foreach (var (to, from) in ((ReadOnlySpan<int>)[0, 3, 1, 2]).ToArray().Index())
            for (int h = 0; h < hidden; h++)
                for (int i = 0; i < inputs; i++) turned[(to * hidden + h) * inputs + i] = weights[i * 4 * hidden + from * hidden + h];
        return turned;
    }

    private int PositionOf(int step, int length) => reverse ? length - 1 - step : step;

    /// <summary>What a position has of [positions, examples, ...].</summary>
    private static Tensor At(Tensor all, int position)
    {
        int rows = all.Dimensions[1], columns = all.Dimensions[2];
        return all.Slice($"{all.Name}[{position}]", (long)position * rows * columns, rows, columns);
    }

    /// <summary>Rows of one position, or of all from the first.</summary>
    private static DenseOperand Rows(Tensor source, int rows, int columns, int position = 0) => new(source, rows, columns, (long)position * rows * columns, columns, Transposed: false);

    /// <summary>Stored rows as columns.</summary>
    private static DenseOperand Columns(Tensor source, int rows, int columns) => new(source, rows, columns, 0, rows, Transposed: true);
}

/// <summary>One position: <paramref name="gates"/> [batch, 4 hidden] hold x W + b and become the gates, to which <paramref name="recurrent"/> [batch, 4 hidden], h U, is added before; writes c and h, [batch, hidden].</summary>
/// <param name="recurrent">Null at the first step, where h and c are 0 before.</param>
/// <param name="before">c of the step before; null where there is none.</param>
internal sealed partial class LstmForward(Tensor gates, Tensor? recurrent, Tensor? before, Tensor cell, Tensor state) : Kernel
{
    public override string Name => "Lstm.Forward";
    public override IReadOnlyList<Tensor> Reads { get; } = recurrent is null || before is null ? [gates] : [gates, recurrent, before];
    public override IReadOnlyList<Tensor> Writes { get; } = [gates, state, cell];

    private int Hidden => cell.Dimensions[1];
}

/// <summary>
/// One position: with dh = <paramref name="outside"/> + <paramref name="later"/>, dc = carry + dh o (1 - tanh(c)^2): d of the gates' arguments, and carry = dc f for the step before. FP32.
/// </summary>
/// <param name="before">c of the step before; null where there is none.</param>
/// <param name="outside">What the layers behind give; null where they do not read this position.</param>
/// <param name="later">What the step after it gives; null at the last one, where the carry is taken for 0.</param>
internal sealed partial class LstmBackward(Tensor gates, Tensor? before, Tensor cell, Tensor? outside, Tensor? later, Tensor carry, Tensor dGates) : Kernel
{
    public override string Name => "Lstm.Backward";
    public override IReadOnlyList<Tensor> Reads { get; } = [gates, cell, .. Given(before), .. Given(outside), .. Given(later), .. Given(later is null ? null : carry)];
    public override IReadOnlyList<Tensor> Writes { get; } = [dGates, carry];

    private int Hidden => cell.Dimensions[1];

    private static Tensor[] Given(Tensor? tensor) => tensor is null ? [] : [tensor];
}
