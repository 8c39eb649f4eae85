namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class CpuBackend
{
    /// <summary>
    /// Binds a product: the operands become readers, chosen once here, so that each combination that a plan uses is
    /// compiled to code of its own (3 to 6 ms each at the first call).
    /// </summary>
    public Action Gemm<T, TStorage>(MatrixProduct product)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T> => product.A switch
        {
            DenseOperand { Transposed: false } a => WithA<T, TStorage, RowMajor<T, TStorage>>(product, Dense<T, TStorage>(a)),
            DenseOperand a => WithA<T, TStorage, Transpose<RowMajor<T, TStorage>>>(product, new(Dense<T, TStorage>(a))),
            PatchesOperand a when ReadsByTap(a.Geometry) && a.Transposed => WithA<T, TStorage, Transpose<OneChannelPatches<T, TStorage>>>(product, new(new(Pointer<T>(a.Source), a.Geometry))),
            PatchesOperand a when ReadsByTap(a.Geometry) => WithA<T, TStorage, OneChannelPatches<T, TStorage>>(product, new(Pointer<T>(a.Source), a.Geometry)),
            PatchesOperand { Transposed: true } a => WithA<T, TStorage, Transpose<Patches<T, TStorage>>>(product, new(new(Pointer<T>(a.Source), a.Geometry, a.Group))),
            PatchesOperand a => WithA<T, TStorage, Patches<T, TStorage>>(product, new(Pointer<T>(a.Source), a.Geometry, a.Group)),
            GradientPatchesOperand a when a.Geometry.Window.Stride == 1 => WithA<T, TStorage, Patches<T, TStorage>>(product, new(Pointer<T>(a.Source), Backward(a.Geometry), a.Group)),
            GradientPatchesOperand a => WithA<T, TStorage, GradientPatches<T, TStorage>>(product, new(Pointer<T>(a.Source), a.Geometry, a.Group)),
            var a => throw new NotSupportedException($"'{product.Name}': {a.GetType().Name} cannot be the left operand."),
        };

    private Action WithA<T, TStorage, TA>(MatrixProduct product, TA a)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
        where TA : unmanaged, IReader => product.B switch
        {
            DenseOperand { Transposed: false } b => WithB<T, TStorage, TA, RowMajor<T, TStorage>>(product, a, Dense<T, TStorage>(b)),
            DenseOperand b => WithB<T, TStorage, TA, Transpose<RowMajor<T, TStorage>>>(product, a, new(Dense<T, TStorage>(b))),
            ReversedTapsOperand b => WithB<T, TStorage, TA, ReversedTaps<T, TStorage>>(product, a, new(Pointer<T>(b.Source), b.Geometry, b.Group)),
            var b => throw new NotSupportedException($"'{product.Name}': {b.GetType().Name} cannot be the right operand."),
        };

    private Action WithB<T, TStorage, TA, TB>(MatrixProduct product, TA a, TB b)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
        where TA : unmanaged, IReader
        where TB : unmanaged, IReader
    {
        int m = product.M, n = product.N, k = product.K, threads = Threads;
        var sink = new ToStorage<T, TStorage>(Pointer<T>(product.C) + product.Start, product.Pitch);
        if (product.Bias is null) return () => MixedPrecision.Gemm.Run(m, n, k, a, b, new Plain(), sink, threads);
        var bias = new Bias<T, TStorage>(Pointer<T>(product.Bias));
        return () => MixedPrecision.Gemm.Run(m, n, k, a, b, bias, sink, threads);
    }

    private RowMajor<T, TStorage> Dense<T, TStorage>(DenseOperand operand)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T> => new(Pointer<T>(operand.Source) + operand.Start, operand.Pitch);

    private static bool ReadsByTap(Conv2dGeometry g) => g.Channels == 1 && g.Window.Stride == 1;

    /// <summary>The convolution of the output gradient that gives the input gradient; stride 1 only.</summary>
    private static Conv2dGeometry Backward(Conv2dGeometry g)
    {
        var (kernel, padding, dilation) = (g.Window.Kernel, g.Window.Padding, g.Window.Dilation);
        var full = new Size2d(dilation.Height * (kernel.Height - 1) - padding.Height, dilation.Width * (kernel.Width - 1) - padding.Width);
        return new Conv2dGeometry(g.Batch, g.OutHeight, g.OutWidth, g.Filters, g.Channels, g.Window with { Padding = full }, g.Groups);
    }
}
