namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What a GPU finds out about the phases of a stride in closed form, against the classes of pixels that the CPU lists.</summary>
[TestClass]
public sealed class GradientPhasesTests
{
    [TestMethod]
    public void The_phases_of_an_axis_are_its_classes_of_pixels()
    {
        foreach (int size in (ReadOnlySpan<int>)[1, 2, 5, 8, 13])
            foreach (int kernel in (ReadOnlySpan<int>)[1, 2, 3, 5, 8])
                foreach (int stride in (ReadOnlySpan<int>)[1, 2, 3, 4, 6, 9])
                    foreach (int padding in (ReadOnlySpan<int>)[0, 1, 3, 10])
                        foreach (int dilation in (ReadOnlySpan<int>)[1, 2, 3, 4, 9])
                            AssertClasses(size, kernel, stride, padding, dilation);
    }

    private static void AssertClasses(int size, int kernel, int stride, int padding, int dilation)
    {
        string what = $"size {size}, kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation}";
        var axis = new PhaseAxis(size, kernel, stride, padding, dilation);
        AxisPhase[] phases = [.. Enumerable.Range(0, stride).Select(i => PhaseAxis.At(axis, i)).Where(p => p.Pixels > 0).OrderBy(p => p.First)];
        InputClass[] classes = [.. InputClass.Of(size, kernel, stride, padding, dilation)];
        Assert.HasCount(classes.Length, phases, what);
        Assert.AreEqual(Enumerable.Range(0, stride).Any(i => PhaseAxis.At(axis, i).Taps == 0), axis.SkipsPixels, what);
        foreach (var (phase, expected) in phases.Zip(classes))
        {
            Assert.AreEqual((expected.First, expected.Pixels, expected.Taps), (phase.First, phase.Pixels, phase.Taps), what);
            Assert.AreEqual(phase.Pixels, phase.ByPixels.Value, what);
            if (expected.Taps == 0) continue;
            Assert.AreEqual((expected.LastTap, expected.Offset, expected.Taps), (phase.LastTap, phase.Offset, phase.ByTaps.Value), what);
            if (expected.Taps > 1) Assert.AreEqual((expected.TapStep, expected.Dilation), (axis.TapStep, axis.Dilation), what);
        }
    }

    /// <summary>As many products as the forward pass has, where no tap lies in the padding: a quarter of those of a stride of 1.</summary>
    [TestMethod]
    public void All_phases_together_multiply_as_often_as_the_forward_pass()
    {
        foreach (var (kernel, padding) in ((int, int)[])[(3, 1), (1, 0), (2, 0), (5, 2)])
        {
            var g = new Conv2dGeometry(2, 28, 28, 16, 32, new(kernel, 2, padding, 1), Groups: 2);
            Tensor gradient = new("gradient", ElementType.Working, Region.Activations, g.OutPixels, g.Filters), weights = new("weights", ElementType.Working, Region.Parameters, g.Groups * (int)g.GroupWeights);
            var phases = GradientPhases.Of(new MatrixProduct("Test", new GradientPatchesOperand(gradient, g, 0), new ReversedTapsOperand(weights, g, 0), gradient, 0, g.Channels));
            int rows = 0, products = 0;
            for (int i = 0; i < phases.Count; i++)
            {
                AxisPhase y = GradientPhases.Y(phases, i), x = GradientPhases.X(phases, i);
                rows += GradientPhases.Rows(phases, y, x);
                products += GradientPhases.Rows(phases, y, x) * GradientPhases.Depth(phases, y, x);
            }
            Assert.AreEqual(g.InPixels, rows, g.ToString());
            Assert.AreEqual(g.OutPixels * g.Taps * g.GroupFilters, products, g.ToString());
        }
    }

    /// <summary>The groups of a launch that have the most to do begin first.</summary>
    [TestMethod]
    public void Phases_with_more_taps_come_first()
    {
        foreach (var (kernel, padding) in ((int, int)[])[(3, 1), (1, 0), (2, 0), (5, 2), (7, 3)])
        {
            var axis = new PhaseAxis(28, kernel, stride: 2, padding, dilation: 1);
            Assert.IsGreaterThanOrEqualTo(PhaseAxis.At(axis, 1).Taps, PhaseAxis.At(axis, 0).Taps, $"kernel {kernel}");
            Assert.AreEqual(axis.MostTaps, PhaseAxis.At(axis, 0).Taps, $"kernel {kernel}");
        }
    }
}
