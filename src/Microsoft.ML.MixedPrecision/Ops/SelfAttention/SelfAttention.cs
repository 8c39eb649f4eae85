namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// Multi-head self-attention (Vaswani et al., 2017, section 3.2) as PyTorch's MultiheadAttention of a sequence with itself: each position becomes a mean of all
    /// positions' values, weighted by how well their keys match its query. Three layers: a Linear to queries, keys and values, [length, features] to
    /// [length, 3 features]; for each head softmax(Q K^T / sqrt(features / heads)) V; a Linear of all heads together, [length, features] again. The softmax is in FP32, the scale is
    /// part of the queries. Weights and biases start as those of <see cref="Linear"/>. All positions see all others, or those that a mask or their order leaves.
    /// </summary>
    /// <param name="heads">Heads; divides the features.</param>
    /// <param name="bias">Whether the two Linears have a bias; they have by default.</param>
    /// <param name="mask">The network's tokens: positions of token 0 are not attended to, as PyTorch's key_padding_mask. By default all are. A position that is left none has a mean of 0.</param>
    /// <param name="causal">Whether a position sees itself and those before it only, as with PyTorch's is_causal: its output says nothing of what comes later. By default all are seen.</param>
    /// <param name="name">The layer's name in messages and in the exported model, by default its kind and number; the two Linears are called <c>name.InProjection</c> and <c>name.OutProjection</c>.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="heads"/> is less than 1.</exception>
    /// <exception cref="ArgumentException">The network's output here is not a sequence, the heads do not divide its features, or the mask is not of its input or its length.</exception>
    public Network SelfAttention(int heads, bool bias = true, TokenInput? mask = null, bool causal = false, string? name = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        name ??= NextName("SelfAttention", [Node]);
        MixedPrecision.SelfAttention.Check(name, Shape, heads);
        int features = Shape.Channels;
        var projected = Linear(3 * features, bias, $"{name}.InProjection");
        var attending = mask is null ? projected.Apply(new SelfAttention(heads, causal), name) : Apply(new SelfAttention(heads, causal), name, projected, mask.Input);
        return attending.Linear(features, bias, $"{name}.OutProjection");
    }
}

/// <summary>
/// What is between the projections, for each example and head: y = P V with P = softmax(S), S = Q K^T, the scale within Q. Backward: dV = P^T dy; dP = dy V^T;
/// dS = P (dP - sum over a row of dP P); dQ = dS K; dK = dS^T Q. A second input is tokens, which mask keys; where it is causal, so do those behind a query.
/// <para>
/// Queries, keys and values of a head lie among those of the others: [length, 3, heads, size] for each example. They are copied apart, [3, examples, heads, length, size], so that all
/// heads of all examples are products one step from the next, and one launch on a GPU.
/// </para>
/// </summary>
internal sealed class SelfAttention(int heads, bool causal = false) : Op
{
    private const int Queries = 0, Keys = 1, Values = 2;    // the order of the three parts
    private const int Apart = 0, Weights = 1;               // in the order of saving

    public override string Kind => "SelfAttention";

    /// <exception cref="ArgumentException">A shape that has no heads: layer, expected, got, remedy.</exception>
    public static void Check(string name, Shape shape, int heads)
    {
        var op = new SelfAttention(heads);
        if (!shape.IsSequence) throw op.Misfit(name, "a sequence [length, features]", shape.Described, "start from Network.Sequence(...), or put Reshape(length, features) before it");
        if (shape.Channels % heads != 0) throw op.Misfit(name, $"features that {heads} heads divide", $"{shape.Channels}", "choose heads that divide them");
    }

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs)
    {
        if (inputs.Count > 1) ExpectMask(name, inputs[0], inputs[1]);
        return Shape.Sequence(inputs[0].Length, inputs[0].Channels / 3);
    }

    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var of = Products(pass.Batch, pass.OutputShape);
        Tensor apart = NewApart("Apart", 3), scores = NewSquare("Scores"), weights = NewSquare("Weights"), mixed = NewApart("Mixed", 1), y = pass.NewOutput();
        pass.Run(new AxisSwap("SelfAttention.Split", pass.Input(0), apart, heads, AxisSwap.Direction.Split, of.Scale));
        pass.Run(of.Product("SelfAttention.Scores", of.Rows(apart, Queries), of.Columns(apart, Keys), scores));
        var mask = pass.InputShapes.Count > 1 ? pass.Input(1) : null;
        pass.Run(mask is not null || causal ? new MaskedSoftmax(mask, scores, weights, heads, causal) : new SoftmaxForward(scores, weights));
        pass.Run(of.Product("SelfAttention.Mix", of.Square(weights), of.Rows(apart, Values), mixed));
        pass.Run(new AxisSwap("SelfAttention.Join", y, mixed, heads, AxisSwap.Direction.Join));
        pass.Save(apart);
        pass.Save(weights);
        return y;

        Tensor NewApart(string name, int parts) => pass.New(name, ElementType.Working, parts, of.Count, of.Length, of.Size);
        Tensor NewSquare(string name) => pass.New(name, ElementType.Working, of.Count, of.Length, of.Length);
    }

    public override void Backward(BackwardPass pass)
    {
        if (!pass.NeedsInputGradient(0)) return;
        var of = Products(pass.Batch, pass.OutputShape);
        var (apart, weights) = (pass.Saved[Apart], pass.Saved[Weights]);
        Tensor dMixed = NewApart("MixedGradient", 1), dApart = NewApart("ApartGradient", 3), dWeights = NewSquare("WeightsGradient"), dScores = NewSquare("ScoresGradient");
        pass.Run(new AxisSwap("SelfAttention.SplitGradient", pass.OutputGradient, dMixed, heads, AxisSwap.Direction.Split));
        pass.Run(of.Product("SelfAttention.ValueGradient", of.Square(weights, transposed: true), of.Rows(dMixed, 0), dApart, Values));
        pass.Run(of.Product("SelfAttention.WeightsGradient", of.Rows(dMixed, 0), of.Columns(apart, Values), dWeights));
        pass.Run(new SoftmaxBackward(weights, dWeights, dScores));
        pass.Run(of.Product("SelfAttention.QueryGradient", of.Square(dScores), of.Rows(apart, Keys), dApart, Queries));
        pass.Run(of.Product("SelfAttention.KeyGradient", of.Square(dScores, transposed: true), of.Rows(apart, Queries), dApart, Keys));
        pass.Run(new AxisSwap("SelfAttention.JoinGradient", pass.NewInputGradient(0), dApart, heads, AxisSwap.Direction.Join, of.Scale));

        Tensor NewApart(string name, int parts) => pass.New(name, ElementType.Working, parts, of.Count, of.Length, of.Size);
        Tensor NewSquare(string name) => pass.New(name, ElementType.Working, of.Count, of.Length, of.Length);
    }

    public override string Export(OnnxScope scope)
    {
        var (g, name) = (scope.Graph, scope.Name);
        int length = scope.OutputShape.Length, size = scope.OutputShape.Channels / heads;
        string[] parts = g.Nodes("Split", $"{name}.Split", [g.Reshape(scope.Input(0), $"{name}.heads", length, 3, heads, size)], 3, ("axis", 2L));
        string Part(int part, string of, params long[] order) =>
            g.Node("Transpose", $"{name}.{of}", [g.Reshape(parts[part], $"{name}.{of}.flat", length, heads, size)], ("perm", order));
        string queries = g.Node("Mul", $"{name}.Scaled", [Part(Queries, "Queries", 0, 2, 1, 3), g.Scalar($"{name}.Scale", HeadProducts.ScaleOf(size))]);
        string scores = scope.Node("MatMul", [queries, Part(Keys, "Keys", 0, 2, 3, 1)]);
        scores = g.ToSingle(scores, $"{name}.scores");
        string? unseen = Unseen();
        if (unseen is not null) scores = g.Node("Where", $"{name}.Masked", [unseen, g.Single($"{name}.Least", [float.MinValue], 1), scores]);
        string weights = scope.Node("Softmax", [scores], ("axis", 3L)); // FP32, as here
        if (unseen is not null) weights = g.Node("Where", $"{name}.Seen", [unseen, g.Single($"{name}.Zero", [0f], 1), weights]); // a query that sees no key
        weights = g.ToWorking(weights, $"{name}.weights");
        string mixed = g.Node("Transpose", $"{name}.Join", [scope.Node("MatMul", [weights, Part(Values, "Values", 0, 2, 1, 3)])], ("perm", new long[] { 0, 2, 1, 3 }));
        return g.Reshape(mixed, name, length, heads * size);

        string? Unseen()
        {
            string? none = scope.InputShapes.Count > 1 ? g.Reshape(g.IsNone(scope.Input(1), $"{name}.None"), $"{name}.None.keys", 1, 1, length) : null;
            string? future = causal ? Future() : null;
            return none is not null && future is not null ? g.Node("Or", $"{name}.Unseen", [none, future]) : none ?? future;
        }

        string Future()
        {
            string keys = g.Integers($"{name}.Positions", [.. Enumerable.Range(0, length).Select(key => (long)key)]);
            string queries = g.Node("Unsqueeze", $"{name}.Positions.queries", [keys, g.Integers($"{name}.Positions.axis", 1)]);
            return g.Node("Greater", $"{name}.Future", [keys, queries]);
        }
    }

    private HeadProducts Products(int batch, Shape output) => new(batch * heads, output.Length, output.Channels / heads);
}

/// <summary>The products of attention: one for each head of each example, over tensors that lie apart.</summary>
/// <param name="Count">Heads of all examples.</param>
/// <param name="Length">Positions.</param>
/// <param name="Size">Features of a head.</param>
internal readonly record struct HeadProducts(int Count, int Length, int Size)
{
    /// <summary>1 / sqrt(size).</summary>
    public static float ScaleOf(int size) => 1f / MathF.Sqrt(size);

    public float Scale => ScaleOf(Size);

    /// <summary>A part of [parts, count, length, size] as matrices of a row for each position.</summary>
    public DenseOperand Rows(Tensor apart, int part) => new(apart, Length, Size, PartStart(part), Size, Transposed: false, Length * Size);

    /// <summary>The same as matrices of a column for each position.</summary>
    public DenseOperand Columns(Tensor apart, int part) => new(apart, Size, Length, PartStart(part), Size, Transposed: true, Length * Size);

    /// <summary>[count, length, length].</summary>
    public DenseOperand Square(Tensor square, bool transposed = false) => new(square, Length, Length, 0, Length, transposed, (long)Length * Length);

    /// <summary>Into [count, rows, columns], or into a part of [parts, count, length, size].</summary>
    public MatrixProduct Product(string name, DenseOperand a, DenseOperand b, Tensor c, int part = 0) =>
        new(name, a, b, c, part * (long)Count * a.Rows * b.Columns, b.Columns, count: Count, step: (long)a.Rows * b.Columns);

    private long PartStart(int part) => part * (long)Count * Length * Size;
}
