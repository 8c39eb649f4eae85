using System.Runtime.InteropServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Binds a product once it is known what is done to its elements as they are stored.</summary>
internal sealed class ProductBinder<T, TStorage>(CpuBackend cpu, MatrixProduct product) : ICpuElementUser
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
{
    public Action With<TElement>(TElement element) where TElement : unmanaged, ICpuElement => new ProductBinder<T, TStorage, TElement>(cpu, product, element).Bind();
}

/// <summary>
/// From a product's description to a call of <see cref="MixedPrecision.Gemm"/> or, for convolutions of few channels, of the
/// strips: the operands become readers, chosen once here, so that each combination that a plan uses is compiled to code of its
/// own (3 to 6 ms each at the first call).
/// </summary>
internal sealed unsafe class ProductBinder<T, TStorage, TElement>(CpuBackend cpu, MatrixProduct product, TElement element)
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
    where TElement : unmanaged, ICpuElement
{
    private readonly int _threads = cpu.Threads;
    private readonly Action<long, long>? _sumParts = product.Reader?.SumParts<T, TStorage>(cpu);

    private T* Target => cpu.Pointer<T>(product.C) + product.Start;

    private ToRows<T, TStorage, TElement> Rows => new(cpu.Pointer<T>(product.C), product.Start, product.Pitch, element);

    public Action Bind() => product switch
    {
        { Count: > 1, A: DenseOperand a, B: DenseOperand b } => Several(a, b),
        { A: DenseOperand { Transposed: false } a } => WithA(Dense(a)),
        { A: DenseOperand a } => WithA(new Transpose<RowMajor<T, TStorage>>(Dense(a))),
        { A: PatchesOperand { Transposed: false, Geometry: var g } a, B: DenseOperand { Transposed: false } b } when StripConvolution.Fits<T, TStorage>(g, g.OutWidth, product.N) =>
            Convolution(new(Image(a), g, g.OutHeight, g.OutWidth), g.Batch, Dense(b)),
        { A: PatchesOperand { Transposed: false } a } when ReadsByTap(a.Geometry) => WithA(new OneChannelPatches<T, TStorage>(Image(a), a.Geometry)),
        { A: PatchesOperand { Transposed: false } a } => WithA(new Patches<T, TStorage>(Image(a), a.Geometry, a.Group)),
        { A: PatchesOperand a, B: DenseOperand { Transposed: false } b, Bias: null, Next: null, Reader: null } => WeightGradient(a, b),
        { A: GradientPatchesOperand a, B: ReversedTapsOperand b, Bias: null } => InputGradient(a, b),
        _ => throw NotBound(),
    };

    private Action Several(DenseOperand a, DenseOperand b) => (a.Transposed, b.Transposed) switch
    {
        (false, false) => Several(i => Dense(a, i), i => Dense(b, i)),
        (false, true) => Several(i => Dense(a, i), i => new Transpose<RowMajor<T, TStorage>>(Dense(b, i))),
        (true, false) => Several(i => new Transpose<RowMajor<T, TStorage>>(Dense(a, i)), i => Dense(b, i)),
        (true, true) => Several(i => new Transpose<RowMajor<T, TStorage>>(Dense(a, i)), i => new Transpose<RowMajor<T, TStorage>>(Dense(b, i))),
    };

    /// <summary>Products of which each thread takes some, whole.</summary>
    private Action Several<TA, TB>(Func<long, TA> a, Func<long, TB> b) where TA : unmanaged, IReader where TB : unmanaged, IReader
    {
        if (product.Bias is not { } bias) return Several(a, b, _ => new Plain());
        T* first = cpu.Pointer<T>(bias);
        int n = product.N;
        return Several(a, b, i => new Bias<T, TStorage>(first + i * n));
    }

    private Action Several<TA, TB, TMap>(Func<long, TA> a, Func<long, TB> b, Func<long, TMap> map)
        where TA : unmanaged, IReader where TB : unmanaged, IReader where TMap : unmanaged, IMap
    {
        var (m, n, k, grid, rows, step) = (product.M, product.N, product.K, ThreadGrid.For(product.M, product.N, product.K, offered: 1), Rows, product.Step);
        return cpu.For(product.Count, ThreadGrid.WorthAThread(2.0 * m * n * k), (first, end) =>
        {
            for (long i = first; i < end; i++) Gemm.Run(m, n, k, a(i), b(i), map(i), rows.At(i * step), default, grid, null);
        });
    }

    private Action WithA<TA>(TA a) where TA : unmanaged, IReader => product.B switch
    {
        DenseOperand { Transposed: false } b => Product(a, Dense(b)),
        DenseOperand b => Product(a, new Transpose<RowMajor<T, TStorage>>(Dense(b))),
        _ => throw NotBound(),
    };

    private Action Product<TA, TB>(TA a, TB b) where TA : unmanaged, IReader where TB : unmanaged, IReader => product.Bias is { } bias
        ? Run(product.M, product.N, product.K, a, b, new Bias<T, TStorage>(cpu.Pointer<T>(bias)), Rows)
        : Run(product.M, product.N, product.K, a, b, new Plain(), Rows);

    /// <summary>A forward convolution of few channels, its product walking over the image itself.</summary>
    private Action Convolution(ImageStrip<T, TStorage> image, int batch, RowMajor<T, TStorage> weights) => product.Bias is { } bias
        ? Run(image, batch, product.N, weights, new Bias<T, TStorage>(cpu.Pointer<T>(bias)), Rows)
        : Run(image, batch, product.N, weights, new Plain(), Rows);

    /// <summary>
    /// x^T dy: over strips where they fit. Else turned around: dy^T times the patches, its result stored by columns. Few filters
    /// then fill rows of tiles instead of columns, and the patches are packed in long runs. One channel has few taps instead:
    /// it is not turned.
    /// </summary>
    private Action WeightGradient(PatchesOperand a, DenseOperand b)
    {
        var g = a.Geometry;
        var sink = new ToColumns<T, TStorage>(Target, product.Pitch);
        if (StripWeightGradient.Fits<T, TStorage>(g) && b.Pitch == g.Filters)
        {
            var image = new ImageStrip<T, TStorage>(Image(a), g, g.OutHeight, g.OutWidth);
            var plan = StripWeightGradient.Plan(image, g.Batch, g.Filters);
            T* dy = cpu.Pointer<T>(b.Source) + b.Start;
            var (backend, threads) = (cpu, _threads);
            backend.Reserve(plan.Parts * plan.PartFloats(g.KernelHeight));
            return () => StripWeightGradient.Run(image, dy, plan, sink, threads, backend.Scratch);
        }
        if (ReadsByTap(g)) return WithA(new Transpose<OneChannelPatches<T, TStorage>>(new(Image(a), g)));
        return Run(product.N, product.M, product.K, new Transpose<RowMajor<T, TStorage>>(Dense(b)), new Patches<T, TStorage>(Image(a), g, a.Group), new Plain(), sink);
    }

    /// <summary>The convolution of the output gradient that gives the input gradient: one for each class of input pixels.</summary>
    private Action InputGradient(GradientPatchesOperand a, ReversedTapsOperand b)
    {
        var g = a.Geometry;
        var (kernel, stride, padding, dilation) = g.Window;
        InputClass[] rows = [.. InputClass.Of(g.Height, kernel.Height, stride.Height, padding.Height, dilation.Height)];
        InputClass[] columns = [.. InputClass.Of(g.Width, kernel.Width, stride.Width, padding.Width, dilation.Width)];
        T* gradient = cpu.Pointer<T>(a.Source), weights = cpu.Pointer<T>(b.Source);
        var steps = new List<Action>();
        // Pixels that no window sees: their gradient is 0, and so is any function's derivative times it.
        if (rows.Concat(columns).Any(c => c.Taps == 0)) steps.Add(Clear());
        foreach (var y in rows.Where(c => c.Taps > 0))
        {
            foreach (var x in columns.Where(c => c.Taps > 0))
            {
                var window = new Window2d(new(y.Taps, x.Taps), 1, new(-y.Offset, -x.Offset), new(y.Dilation, x.Dilation));
                var convolution = new Conv2dGeometry(g.Batch, g.OutHeight, g.OutWidth, g.Filters, g.Channels, window, g.Groups);
                var taps = new ReversedTaps<T, TStorage>(weights, g, b.Group, y, x);
                steps.Add(stride == 1
                    ? InputGradient(convolution, gradient, a.Group, y.Pixels, x.Pixels, taps, Rows)
                    : InputGradient(convolution, gradient, a.Group, y.Pixels, x.Pixels, taps, new ToGrid<T, TStorage, TElement>(cpu.Pointer<T>(product.C), product.Start, product.Pitch, element, g, y, x)));
            }
        }
        Action[] all = [.. steps];
        return all.Length == 1 ? all[0] : ThenSums(() => { foreach (var step in all) step(); });
    }

    /// <summary>Of one class: over strips where they fit.</summary>
    private Action InputGradient<TSink>(Conv2dGeometry g, T* gradient, int group, int height, int width, ReversedTaps<T, TStorage> taps, TSink sink) where TSink : unmanaged, ISink =>
        StripConvolution.Fits<T, TStorage>(g, width, product.N)
            ? Run(new ImageStrip<T, TStorage>(gradient, g, height, width), g.Batch, product.N, taps, new Plain(), sink)
            : Run(g.Batch * height * width, product.N, g.Patch, new Patches<T, TStorage>(gradient, g, group, height, width), taps, new Plain(), sink);

    private Action Run<TA, TB, TMap, TSink>(int m, int n, int k, TA a, TB b, TMap map, TSink sink)
        where TA : unmanaged, IReader
        where TB : unmanaged, IReader
        where TMap : unmanaged, IMap
        where TSink : unmanaged, ISink
    {
        var (backend, grid) = (cpu, ThreadGrid.For(m, n, k, _threads));
        backend.Reserve(Gemm.Scratch(m, n, k));
        if (!Gemm.StoresRowsWhole(m, n, k, grid))
        {
            Action run = () => Gemm.Run(m, n, k, a, b, map, sink, default, grid, backend.Scratch);
            return m == product.M ? ThenSums(run) : run;
        }
        var stored = Stored(m);
        return () => Gemm.Run(m, n, k, a, b, map, sink, stored, grid, backend.Scratch);
    }

    private Action Run<TB, TMap, TSink>(ImageStrip<T, TStorage> image, int batch, int n, TB b, TMap map, TSink sink)
        where TB : unmanaged, IReader
        where TMap : unmanaged, IMap
        where TSink : unmanaged, ISink
    {
        var (stored, threads) = (Stored(batch * image.OutHeight * image.OutWidth), _threads);
        if (TurnedStripConvolution.Fits(image, n)) return () => TurnedStripConvolution.Run(image, batch, n, b, map, sink, stored, threads);
        return () => StripConvolution.Run(image, batch, n, b, map, sink, stored, threads);
    }

    /// <summary>What is done with rows as they are stored: nothing by one of several that together store all.</summary>
    private StoredRows Stored(int rows) => _sumParts is not null && rows == product.M ? cpu.Awaiting(_sumParts, rows) : default;

    /// <summary>The sums that were not taken as rows were stored.</summary>
    private Action ThenSums(Action run)
    {
        if (_sumParts is null) return run;
        var sum = cpu.For(ChannelParts.Count(product.C), grain: 1, _sumParts);
        return () =>
        {
            run();
            sum();
        };
    }

    private Action Clear()
    {
        T* c = Target;
        var (columns, pitch) = (product.N, product.Pitch);
        return cpu.For(product.M, CpuBackend.ElementGrain / columns + 1, (start, end) =>
        {
            if (pitch == columns) NativeMemory.Clear(c + start * pitch, (nuint)(end - start) * (nuint)columns * (nuint)sizeof(T));
            else for (long row = start; row < end; row++) new Span<T>(c + row * pitch, columns).Clear();
        });
    }

    private T* Image(PatchesOperand operand) => cpu.Pointer<T>(operand.Source);

    private RowMajor<T, TStorage> Dense(DenseOperand operand, long index = 0) => new(cpu.Pointer<T>(operand.Source) + operand.Start + index * operand.Step, operand.Pitch);

    private static bool ReadsByTap(Conv2dGeometry g) => g.Channels == 1 && g.Window.Stride == 1;

    private NotSupportedException NotBound() =>
        new($"'{product.Name}': no CPU product of {product.A.GetType().Name} and {product.B.GetType().Name}{(product.Bias is null ? "" : " with a bias")}.");
}
