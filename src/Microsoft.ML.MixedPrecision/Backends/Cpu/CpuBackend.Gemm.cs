namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class CpuBackend
{
    /// <summary>
    /// Binds a product: the operands become readers, chosen once here, so that each combination that a plan uses is
    /// compiled to code of its own (3 to 6 ms each at the first call).
    /// </summary>
    public Action Gemm<T, TStorage>(MatrixProduct product)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T> => product switch
        {
            { A: DenseOperand { Transposed: false } a } => WithA<T, TStorage, RowMajor<T, TStorage>>(product, Dense<T, TStorage>(a)),
            { A: DenseOperand a } => WithA<T, TStorage, Transpose<RowMajor<T, TStorage>>>(product, new(Dense<T, TStorage>(a))),
            { A: PatchesOperand { Transposed: false } a, B: DenseOperand { Transposed: false } b } when StripConvolution.Fits<T, TStorage>(a.Geometry, a.Geometry.OutWidth, product.N) =>
                Convolution<T, TStorage>(product, a.Geometry, new(Pointer<T>(a.Source), a.Geometry, a.Geometry.OutHeight, a.Geometry.OutWidth), Dense<T, TStorage>(b)),
            { A: PatchesOperand { Transposed: false } a } when ReadsByTap(a.Geometry) => WithA<T, TStorage, OneChannelPatches<T, TStorage>>(product, new(Pointer<T>(a.Source), a.Geometry)),
            { A: PatchesOperand { Transposed: false } a } => WithA<T, TStorage, Patches<T, TStorage>>(product, new(Pointer<T>(a.Source), a.Geometry, a.Group)),
            { A: PatchesOperand a, B: DenseOperand { Transposed: false } b, Bias: null } => WeightGradient<T, TStorage>(product, a, b),
            { A: GradientPatchesOperand a, B: ReversedTapsOperand b, Bias: null } => InputGradient<T, TStorage>(product, a, b),
            _ => throw NotBound(product),
        };

    private Action WithA<T, TStorage, TA>(MatrixProduct product, TA a)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
        where TA : unmanaged, IReader => product.B switch
        {
            DenseOperand { Transposed: false } b => WithB<T, TStorage, TA, RowMajor<T, TStorage>>(product, a, Dense<T, TStorage>(b)),
            DenseOperand b => WithB<T, TStorage, TA, Transpose<RowMajor<T, TStorage>>>(product, a, new(Dense<T, TStorage>(b))),
            _ => throw NotBound(product),
        };

    private Action WithB<T, TStorage, TA, TB>(MatrixProduct product, TA a, TB b)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
        where TA : unmanaged, IReader
        where TB : unmanaged, IReader
    {
        var sink = new ToRows<T, TStorage>(Target<T>(product), product.Pitch);
        return product.Bias is { } bias
            ? Run(product.M, product.N, product.K, a, b, new Bias<T, TStorage>(Pointer<T>(bias)), sink)
            : Run(product.M, product.N, product.K, a, b, new Plain(), sink);
    }

    /// <summary>A forward convolution of few channels, its product walking over the image itself.</summary>
    private Action Convolution<T, TStorage>(MatrixProduct product, Conv2dGeometry g, ImageStrip<T, TStorage> image, RowMajor<T, TStorage> weights)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        var sink = new ToRows<T, TStorage>(Target<T>(product), product.Pitch);
        return product.Bias is { } bias
            ? Run(image, g.Batch, product.N, weights, new Bias<T, TStorage>(Pointer<T>(bias)), sink)
            : Run(image, g.Batch, product.N, weights, new Plain(), sink);
    }

    /// <summary>
    /// x^T dy, turned around: dy^T times the patches, its result stored by columns. Few filters then fill rows of tiles instead
    /// of columns, and the patches are packed in long runs. One channel has few taps instead: it is not turned.
    /// </summary>
    private Action WeightGradient<T, TStorage>(MatrixProduct product, PatchesOperand a, DenseOperand b)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        if (StripWeightGradient.Fits<T, TStorage>(a.Geometry) && b.Pitch == a.Geometry.Filters) return StripGradient<T, TStorage>(product, a, b);
        if (ReadsByTap(a.Geometry))
            return WithA<T, TStorage, Transpose<OneChannelPatches<T, TStorage>>>(product, new(new(Pointer<T>(a.Source), a.Geometry)));
        return Run(product.N, product.M, product.K,
            new Transpose<RowMajor<T, TStorage>>(Dense<T, TStorage>(b)), new Patches<T, TStorage>(Pointer<T>(a.Source), a.Geometry, a.Group),
            new Plain(), new ToColumns<T, TStorage>(Target<T>(product), product.Pitch));
    }

    private Action StripGradient<T, TStorage>(MatrixProduct product, PatchesOperand a, DenseOperand b)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        var g = a.Geometry;
        var image = new ImageStrip<T, TStorage>(Pointer<T>(a.Source), g, g.OutHeight, g.OutWidth);
        var plan = StripWeightGradient.Plan(image, g.Batch, g.Filters);
        var sink = new ToColumns<T, TStorage>(Target<T>(product), product.Pitch);
        T* dy = Pointer<T>(b.Source) + b.Start;
        int threads = Threads;
        Reserve(plan.Parts * plan.PartFloats(g.KernelHeight));
        return () => StripWeightGradient.Run(image, dy, plan, sink, threads, _scratch);
    }

    /// <summary>The convolution of the output gradient that gives the input gradient: one for each class of input pixels.</summary>
    private Action InputGradient<T, TStorage>(MatrixProduct product, GradientPatchesOperand a, ReversedTapsOperand b)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        var g = a.Geometry;
        var (kernel, stride, padding, dilation) = g.Window;
        InputClass[] rows = [.. InputClass.Of(g.Height, kernel.Height, stride.Height, padding.Height, dilation.Height)];
        InputClass[] columns = [.. InputClass.Of(g.Width, kernel.Width, stride.Width, padding.Width, dilation.Width)];
        var steps = new List<Action>();
        if (rows.Concat(columns).Any(c => c.Taps == 0)) steps.Add(Clear<T>(product));
        foreach (var y in rows.Where(c => c.Taps > 0))
        {
            foreach (var x in columns.Where(c => c.Taps > 0))
            {
                var window = new Window2d(new(y.Taps, x.Taps), 1, new(-y.Offset, -x.Offset), new(y.Dilation, x.Dilation));
                var convolution = new Conv2dGeometry(g.Batch, g.OutHeight, g.OutWidth, g.Filters, g.Channels, window, g.Groups);
                var patches = new Patches<T, TStorage>(Pointer<T>(a.Source), convolution, a.Group, y.Pixels, x.Pixels);
                var taps = new ReversedTaps<T, TStorage>(Pointer<T>(b.Source), g, b.Group, y, x);
                int m = g.Batch * y.Pixels * x.Pixels, k = convolution.Patch;
                steps.Add(stride == 1 && StripConvolution.Fits<T, TStorage>(convolution, x.Pixels, product.N)
                    ? Run(new ImageStrip<T, TStorage>(Pointer<T>(a.Source), convolution, y.Pixels, x.Pixels), g.Batch, product.N, taps, new Plain(), new ToRows<T, TStorage>(Target<T>(product), product.Pitch))
                    : stride == 1
                    ? Run(m, product.N, k, patches, taps, new Plain(), new ToRows<T, TStorage>(Target<T>(product), product.Pitch))
                    : Run(m, product.N, k, patches, taps, new Plain(), new ToGrid<T, TStorage>(Target<T>(product), product.Pitch, g, y, x)));
            }
        }
        Action[] all = [.. steps];
        return all.Length == 1 ? all[0] : () => { foreach (var step in all) step(); };
    }

    private Action Run<TA, TB, TMap, TSink>(int m, int n, int k, TA a, TB b, TMap map, TSink sink)
        where TA : unmanaged, IReader
        where TB : unmanaged, IReader
        where TMap : unmanaged, IMap
        where TSink : unmanaged, ISink
    {
        int threads = Threads;
        Reserve(MixedPrecision.Gemm.Scratch(m, n, k));
        return () => MixedPrecision.Gemm.Run(m, n, k, a, b, map, sink, threads, _scratch);
    }

    private Action Run<T, TStorage, TB, TMap, TSink>(ImageStrip<T, TStorage> image, int batch, int n, TB b, TMap map, TSink sink)
        where T : unmanaged where TStorage : struct, ICpuStorage<T>
        where TB : unmanaged, IReader
        where TMap : unmanaged, IMap
        where TSink : unmanaged, ISink
    {
        int threads = Threads;
        return () => StripConvolution.Run(image, batch, n, b, map, sink, threads);
    }

    private Action Clear<T>(MatrixProduct product) where T : unmanaged
    {
        T* c = Target<T>(product);
        var (columns, pitch) = (product.N, product.Pitch);
        return For(product.M, ElementGrain / columns + 1, (start, end) =>
        {
            for (long row = start; row < end; row++) new Span<T>(c + row * pitch, columns).Clear();
        });
    }

    private T* Target<T>(MatrixProduct product) where T : unmanaged => Pointer<T>(product.C) + product.Start;

    private RowMajor<T, TStorage> Dense<T, TStorage>(DenseOperand operand)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T> => new(Pointer<T>(operand.Source) + operand.Start, operand.Pitch);

    private static bool ReadsByTap(Conv2dGeometry g) => g.Channels == 1 && g.Window.Stride == 1;

    private static NotSupportedException NotBound(MatrixProduct product) =>
        new($"'{product.Name}': no CPU product of {product.A.GetType().Name} and {product.B.GetType().Name}{(product.Bias is null ? "" : " with a bias")}.");
}
