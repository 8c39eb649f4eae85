namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The check itself must fail where something is wrong, or it proves nothing.</summary>
[TestClass]
public sealed class OpCheckTests
{
    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void A_right_op_passes(Precision precision) => Check(precision, new Doubled(GradientParts: 2));

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void A_planted_wrong_gradient_is_caught(Precision precision)
    {
        var e = Assert.ThrowsExactly<AssertFailedException>(() => Check(precision, new Doubled(GradientParts: 1)));
        StringAssert.Contains(e.Message, "input gradient");
    }

    [TestMethod]
    public void A_missing_gradient_is_caught() =>
        Assert.Throws<Exception>(() => Check(Precision.Single, new Doubled(GradientParts: 0)));

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void A_planted_wrong_output_is_caught(Precision precision)
    {
        // Off by a thousandth: two roundings to half are 2^-10 of the largest value, so a hundredth in mixed precision.
        double wrong = precision == Precision.Mixed ? 2.02 : 2.002;
        var e = Assert.ThrowsExactly<AssertFailedException>(() => OpCheck.Run(new CpuBackend(precision), Network.Vector(5).Apply(new Doubled(2)), v => [.. v.Input.Select(x => wrong * x)]));
        StringAssert.Contains(e.Message, "output");
    }

    [TestMethod]
    public void NaN_is_no_small_error() =>
        Assert.ThrowsExactly<AssertFailedException>(() => Tolerance.AssertClose([1.0], [float.NaN], Precision.Mixed, 100, 100, "x"));

    private static void Check(Precision precision, Op op) => OpCheck.Run(new CpuBackend(precision), Network.Vector(5).Apply(op), v => [.. v.Input.Select(x => 2 * x)]);

    /// <summary>y = x + x, with a gradient that is right only where it has two parts.</summary>
    private sealed class Doubled(int GradientParts) : Op
    {
        public override string Kind => "Doubled";
        public override Shape Infer(string name, IReadOnlyList<Shape> inputs) => inputs[0];
        public override IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs) => [];
        public override IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs) => [];

        public override Tensor Forward(ForwardPass pass)
        {
            var y = pass.NewOutput();
            pass.Run(new AddForward(pass.Input(0), pass.Input(0), y));
            return y;
        }

        public override void Backward(BackwardPass pass)
        {
            for (int i = 0; i < GradientParts; i++) pass.PassInputGradient(0, pass.OutputGradient);
        }

        public override string Export(OnnxScope scope) => scope.Node("Add", [scope.Input(0), scope.Input(0)]);
    }
}
