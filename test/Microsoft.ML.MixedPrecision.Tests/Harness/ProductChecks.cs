namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Products that a test binds in its own way, against sums in FP64 that know nothing of operands or tiles.</summary>
internal static class ProductChecks
{
    /// <summary>A product of dense operands with a bias.</summary>
    /// <param name="bind">The product as the kernel that is to run.</param>
    public static void Dense(ProductRun run, int m, int n, int k, bool transposedA, bool transposedB, Func<MatrixProduct, Kernel> bind)
    {
        var (sourceA, a) = run.Random("A", m * k);
        var (sourceB, b) = run.Random("B", k * n);
        var (bias, biasValues) = run.Random("bias", n);
        var c = run.Filled("C", m * n);
        run.Execute(bind(new MatrixProduct("Test",
            new DenseOperand(sourceA, m, k, 0, transposedA ? m : k, transposedA), new DenseOperand(sourceB, k, n, 0, transposedB ? k : n, transposedB), c, 0, n, bias)));

        var expected = new double[m * n];
        for (int i = 0; i < m; i++)
        {
            for (int j = 0; j < n; j++)
            {
                double sum = biasValues[j];
                for (int l = 0; l < k; l++) sum += (double)a[transposedA ? l * m + i : i * k + l] * b[transposedB ? j * k + l : l * n + j];
                expected[i * n + j] = sum;
            }
        }
        run.Check(expected, c, k + 1, $"{m} x {n} x {k}, A {(transposedA ? "transposed" : "plain")}, B {(transposedB ? "transposed" : "plain")}");
    }

    /// <summary>The three passes of a convolution.</summary>
    /// <param name="bind">A product as the kernel that is to run.</param>
    public static void Convolution(ProductRun run, Conv2dGeometry g, Func<MatrixProduct, Kernel> bind)
    {
        var (imageTensor, image) = run.Random("image", g.InPixels * g.Channels);
        var (weightTensor, weights) = run.Random("weights", (int)g.GroupWeights * g.Groups);
        var (gradientTensor, gradient) = run.Random("gradient", g.OutPixels * g.Filters);
        var forward = run.Filled("output", g.OutPixels * g.Filters);
        var weightGradient = run.Filled("weight gradient", (int)g.GroupWeights * g.Groups);
        var inputGradient = run.Filled("input gradient", g.InPixels * g.Channels);
        foreach (var product in (ReadOnlySpan<MatrixProduct>)[
            new("Forward", new PatchesOperand(imageTensor, g, Group: 0, Transposed: false),
                new DenseOperand(weightTensor, g.Patch, g.GroupFilters, 0, g.GroupFilters, Transposed: false, g.GroupWeights), forward, 0, g.Filters, count: g.Groups, step: g.GroupFilters),
            new("WeightGradient", new PatchesOperand(imageTensor, g, Group: 0, Transposed: true),
                new DenseOperand(gradientTensor, g.OutPixels, g.GroupFilters, 0, g.Filters, Transposed: false, g.GroupFilters), weightGradient, 0, g.GroupFilters, count: g.Groups, step: g.GroupWeights),
            new("InputGradient", new GradientPatchesOperand(gradientTensor, g, Group: 0), new ReversedTapsOperand(weightTensor, g, Group: 0), inputGradient, 0, g.Channels, count: g.Groups, step: g.GroupChannels)])
        {
            run.Execute(bind(product));
        }
        double[] y = new double[forward.Length], dw = new double[weightGradient.Length], dx = new double[inputGradient.Length];
        foreach (var t in MixedPrecision.Tests.Convolution.Terms(g))
        {
            y[t.Output] += (double)image[t.Image] * weights[t.Weight];
            dw[t.Weight] += (double)image[t.Image] * gradient[t.Output];
            dx[t.Image] += (double)gradient[t.Output] * weights[t.Weight];
        }
        run.Check(y, forward, g.Patch, $"{g}, forward");
        run.Check(dw, weightGradient, g.OutPixels, $"{g}, weight gradient");
        run.Check(dx, inputGradient, g.KernelHeight * g.KernelWidth * g.GroupFilters, $"{g}, input gradient");
    }
}
