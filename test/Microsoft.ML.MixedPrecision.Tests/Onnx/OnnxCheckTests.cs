namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class OnnxCheckTests
{
    private static readonly OnnxTolerance Loose = new(0.01f, 0.1f);

    [TestMethod]
    public void ValuesWithinBoundsPass() =>
        OnnxCheck.Compare(new OnnxComparison("conv1", new float[] { 1, 0, float.NaN, float.NegativeInfinity }, new[] { 1.1f, -0.01f, float.NaN, float.NegativeInfinity }, 2, Loose));

    [TestMethod]
    [DataRow(1.2f)]
    [DataRow(float.NaN)]
    [DataRow(float.PositiveInfinity)]
    public void TheWorstValueIsNamed(float actual)
    {
        var e = Assert.ThrowsExactly<InvalidOperationException>(() =>
            OnnxCheck.Compare(new OnnxComparison("conv1", new float[] { 1, 1, 1, 1, 1, 1 }, new[] { 1, 1.12f, 1, 1, actual, 1 }, 2, Loose)));
        StringAssert.Contains(e.Message, "'conv1': row 2, column 0: expected 1 within 0.11, got");
        StringAssert.Contains(e.Message, "2 of 6 values");
    }

    [TestMethod]
    public void TheFirstLayerThatDiffersIsNamed()
    {
        var good = new OnnxComparison("first", new float[] { 1 }, new float[] { 1 }, 1, Loose);
        var bad = new OnnxComparison("second", new float[] { 1 }, new float[] { 2 }, 1, Loose);
        OnnxCheck.Compare([good, good]);
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => OnnxCheck.Compare([good, bad, bad with { Layer = "third" }]));
        StringAssert.Contains(e.Message, "'second'");
    }

    [TestMethod]
    public void MissingValuesAreADifference()
    {
        var e = Assert.ThrowsExactly<InvalidOperationException>(() =>
            OnnxCheck.Compare(new OnnxComparison("fc", new float[] { 1, 2 }, new float[] { 1 }, 1, Loose)));
        StringAssert.Contains(e.Message, "expected 2 values in rows of 1, got 1");
    }

    [TestMethod]
    public void AMissingNativeLibrarySaysWhatToInstall()
    {
        Exception[] causes = [new DllNotFoundException("onnxruntime"), new TypeInitializationException("NativeMethods", new EntryPointNotFoundException())];
        foreach (Exception cause in causes)
        {
            var e = Assert.ThrowsExactly<InvalidOperationException>(() => OnnxSession.WithRuntime<int>(() => throw cause));
            StringAssert.Contains(e.Message, "Microsoft.ML.OnnxRuntime.Gpu");
            Assert.AreSame(cause, e.InnerException);
        }
        Assert.ThrowsExactly<FormatException>(() => OnnxSession.WithRuntime<int>(() => throw new FormatException()));
    }
}
