namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The matrix product on every backend, against sums in FP64 that know nothing of operands or tiles.</summary>
[TestClass, TestCategory("VectorWidth")]
public sealed class MatrixProductTests
{
    private static readonly (int M, int N, int K)[] Sizes = [(1, 1, 1), (31, 33, 17), (32, 32, 16), (33, 31, 15), (7, 64, 1), (65, 2, 40), (3, 33, 1041)];

    private static readonly Conv2dGeometry[] Geometries =
    [
        new(2, 5, 4, 3, 5, new(3, 1, 1, 1), Groups: 1),
        new(3, 3, 3, 2, 4, new(1, 1, 0, 1), Groups: 1),
        new(2, 7, 9, 4, 6, new(new(2, 3), new(2, 1), new(1, 2), new(1, 2)), Groups: 2),
        new(2, 6, 5, 3, 3, new(new(3, 2), new(1, 3), new(0, 1), new(2, 1)), Groups: 3),
        new(1, 9, 8, 1, 34, new(3, 2, 1, 1), Groups: 1),
        new(2, 17, 18, 1, 3, new(3, 1, 1, 1), Groups: 1), // 612 output pixels: two parts in a GPU's weight gradient
        new(2, 8, 7, 5, 3, new(1, 2, 0, 1), Groups: 1), // pixels that no window sees
        new(1, 2, 2, 1, 1, new(1, 3, 1, 1), Groups: 1), // none at all that a window sees
        new(2, 12, 11, 3, 4, new(new(3, 2), new(2, 3), new(2, 0), new(3, 1)), Groups: 1),
        new(1, 11, 9, 2, 4, new(new(3, 5), new(2, 4), new(2, 3), new(2, 2)), Groups: 2), // taps of which the dilation leaves some phases none
        new(2, 3, 4, 2, 3, new(3, 1_000_000, 1, 1), Groups: 1), // a stride beyond the image
        new(1, 5, 4, 2, 260, new(3, 2, 1, 1), Groups: 2), // 520 values of k where a pixel sees four taps: two parts in a GPU's input gradient
    ];

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Dense_operands_transposed_or_not_with_a_start_and_a_pitch(BackendRow row)
    {
        foreach (var (m, n, k) in Sizes)
        {
            foreach (bool transposedA in (ReadOnlySpan<bool>)[false, true])
            {
                foreach (bool transposedB in (ReadOnlySpan<bool>)[false, true])
                {
                    int pitchA = (transposedA ? m : k) + 3, pitchB = (transposedB ? k : n) + 1, pitchC = n + 2, startA = 5, startB = 2, startC = 1;
                    using var run = new ProductRun(row.Create());
                    var (sourceA, a) = run.Random("A", startA + pitchA * (transposedA ? k : m));
                    var (sourceB, b) = run.Random("B", startB + pitchB * (transposedB ? n : k));
                    var (bias, biasValues) = run.Random("bias", n);
                    var c = run.Filled("C", startC + pitchC * m);
                    run.Execute(new MatrixProduct("Test",
                        new DenseOperand(sourceA, m, k, startA, pitchA, transposedA), new DenseOperand(sourceB, k, n, startB, pitchB, transposedB),
                        c, startC, pitchC, bias));

                    var expected = Enumerable.Repeat((double)ProductRun.Untouched, (int)c.Length).ToArray();
                    for (int i = 0; i < m; i++)
                    {
                        for (int j = 0; j < n; j++)
                        {
                            double sum = biasValues[j];
                            for (int l = 0; l < k; l++)
                                sum += (double)a[startA + (transposedA ? l * pitchA + i : i * pitchA + l)] * b[startB + (transposedB ? j * pitchB + l : l * pitchB + j)];
                            expected[startC + i * pitchC + j] = sum;
                        }
                    }
                    run.Check(expected, c, k + 1, $"{m} x {n} x {k}, A {(transposedA ? "transposed" : "plain")}, B {(transposedB ? "transposed" : "plain")}");
                }
            }
        }
    }

    /// <summary>As attention has them: a product for each head of each example, of one shape, apart from each other in memory; a bias for each; and k long enough for parts.</summary>
    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Several_products_at_once(BackendRow row)
    {
        foreach (var (count, m, n, k, sharedB) in ((int, int, int, int, bool)[])[(12, 33, 20, 17, false), (3, 8, 16, 8, true), (5, 3, 2, 600, false)])
        {
            foreach (bool transposed in (ReadOnlySpan<bool>)[false, true])
            {
                const int Gap = 5;
                int stepA = m * k + Gap, stepB = sharedB ? 0 : k * n + 8, stepC = m * n + Gap;
                using var run = new ProductRun(row.Create());
                var (sourceA, a) = run.Random("A", count * stepA);
                var (sourceB, b) = run.Random("B", k * n + (count - 1) * stepB);
                var (bias, biases) = run.Random("bias", count * n);
                var c = run.Filled("C", count * stepC);
                run.Execute(new MatrixProduct("Test", new DenseOperand(sourceA, m, k, 0, transposed ? m : k, transposed, stepA), new DenseOperand(sourceB, k, n, 0, transposed ? k : n, transposed, stepB),
                    c, 0, n, bias, count: count, step: stepC));

                double[] expected = [.. Enumerable.Repeat((double)ProductRun.Untouched, count * stepC)];
                for (int product = 0; product < count; product++)
                {
                    for (int i = 0; i < m; i++)
                    {
                        for (int j = 0; j < n; j++)
                        {
                            double sum = biases[product * n + j];
                            for (int l = 0; l < k; l++) sum += (double)a[product * stepA + (transposed ? l * m + i : i * k + l)] * b[product * stepB + (transposed ? j * k + l : l * n + j)];
                            expected[product * stepC + i * n + j] = sum;
                        }
                    }
                }
                run.Check(expected, c, k + 1, $"{count} of {m} x {n} x {k}{(transposed ? ", transposed" : "")}");
            }
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Patches_times_weights_is_a_convolution(BackendRow row)
    {
        foreach (var g in Geometries)
        {
            using var run = new ProductRun(row.Create());
            var (imageTensor, image) = run.Random("image", g.InPixels * g.Channels);
            var (weightTensor, weights) = run.Random("weights", (int)g.GroupWeights * g.Groups);
            var output = run.Filled("output", g.OutPixels * g.Filters);
            run.Execute(new MatrixProduct("Forward", new PatchesOperand(imageTensor, g, Group: 0, Transposed: false),
                new DenseOperand(weightTensor, g.Patch, g.GroupFilters, 0, g.GroupFilters, Transposed: false, g.GroupWeights), output, 0, g.Filters, count: g.Groups, step: g.GroupFilters));
            var expected = new double[output.Length];
            foreach (var t in Convolution.Terms(g)) expected[t.Output] += (double)image[t.Image] * weights[t.Weight];
            run.Check(expected, output, g.Patch, g.ToString());
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Transposed_patches_times_gradients_is_the_weight_gradient(BackendRow row)
    {
        foreach (var g in Geometries)
        {
            using var run = new ProductRun(row.Create());
            var (imageTensor, image) = run.Random("image", g.InPixels * g.Channels);
            var (gradientTensor, gradient) = run.Random("gradient", g.OutPixels * g.Filters);
            var output = run.Filled("weight gradient", (int)g.GroupWeights * g.Groups);
            run.Execute(new MatrixProduct("WeightGradient", new PatchesOperand(imageTensor, g, Group: 0, Transposed: true),
                new DenseOperand(gradientTensor, g.OutPixels, g.GroupFilters, 0, g.Filters, Transposed: false, g.GroupFilters), output, 0, g.GroupFilters, count: g.Groups, step: g.GroupWeights));
            var expected = new double[output.Length];
            foreach (var t in Convolution.Terms(g)) expected[t.Weight] += (double)image[t.Image] * gradient[t.Output];
            run.Check(expected, output, g.OutPixels, g.ToString());
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void Gradient_patches_times_reversed_taps_is_the_input_gradient(BackendRow row)
    {
        foreach (var g in Geometries)
        {
            using var run = new ProductRun(row.Create());
            var (gradientTensor, gradient) = run.Random("gradient", g.OutPixels * g.Filters);
            var (weightTensor, weights) = run.Random("weights", (int)g.GroupWeights * g.Groups);
            var output = run.Filled("input gradient", g.InPixels * g.Channels);
            run.Execute(new MatrixProduct("InputGradient", new GradientPatchesOperand(gradientTensor, g, Group: 0),
                new ReversedTapsOperand(weightTensor, g, Group: 0), output, 0, g.Channels, count: g.Groups, step: g.GroupChannels));
            var expected = new double[output.Length];
            foreach (var t in Convolution.Terms(g)) expected[t.Image] += (double)gradient[t.Output] * weights[t.Weight];
            run.Check(expected, output, g.KernelHeight * g.KernelWidth * g.GroupFilters, g.ToString());
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
    public void The_same_product_twice_gives_the_same_bits(BackendRow row)
    {
        using var run = new ProductRun(row.Create());
        var (a, _) = run.Random("A", 40 * 50);
        var (b, _) = run.Random("B", 50 * 40);
        var c = run.Filled("C", 40 * 40);
        var d = run.Filled("D", 40 * 40);
        foreach (var target in (ReadOnlySpan<Tensor>)[c, d])
            run.Execute(new MatrixProduct("Test", new DenseOperand(a, 40, 50, 0, 50, false), new DenseOperand(b, 50, 40, 0, 40, false), target, 0, 40));
        CollectionAssert.AreEqual(run.Read(c), run.Read(d));
    }
}
