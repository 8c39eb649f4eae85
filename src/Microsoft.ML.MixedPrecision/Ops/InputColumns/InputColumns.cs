namespace Microsoft.ML.MixedPrecision;

/// <summary>Of a row of numbers and tokens the numbers, the first columns, rounded to working storage.</summary>
internal sealed class InputNumbers(int count) : Op
{
    public override string Kind => "Numbers";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => Shape.Vector(count);
    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.NewOutput();
        pass.Run(new InputColumns(pass.Input(0), 0, y));
        return y;
    }

    public override void Backward(BackwardPass pass) { } // the input has no gradient

    public override string Export(OnnxScope scope) => scope.Graph.Input;
}

/// <summary>Of a row of numbers and tokens the tokens, the columns behind the numbers, in FP32.</summary>
internal sealed class InputTokens(int numbers) : Op
{
    public override string Kind => "Tokens";

    public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => Shape.Vector(inputs[0].Size - numbers);
    public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
    public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

    public override Tensor Forward(ForwardPass pass)
    {
        var y = pass.New("Output", ElementType.Single, pass.OutputShape.Batched(pass.Batch));
        pass.Run(new InputColumns(pass.Input(0), numbers, y));
        return y;
    }

    public override void Backward(BackwardPass pass) { } // the input has no gradient

    public override string Export(OnnxScope scope) => scope.Graph.Tokens;
}

/// <summary>y[n, c] = rows[n, first + c], from FP32 to the storage of y.</summary>
internal sealed partial class InputColumns(Tensor rows, int first, Tensor y) : Kernel
{
    public override string Name => "Ingest.Columns";
    public override IReadOnlyList<Tensor> Reads { get; } = [rows];
    public override IReadOnlyList<Tensor> Writes { get; } = [y];

    private int Pitch => rows.Dimensions[1];
    private int Count => y.Dimensions[1];
}
