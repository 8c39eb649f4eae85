namespace Microsoft.ML.MixedPrecision;

/// <summary>A matrix of working storage seen through some rule: an operand of a <see cref="MatrixProduct"/>.</summary>
/// <param name="Source">The tensor that holds the elements.</param>
/// <param name="Rows">Rows of the view.</param>
/// <param name="Columns">Columns of the view.</param>
/// <param name="Step">Elements from here to the same element of the next product's operand, where a <see cref="MatrixProduct"/> is several; 0 where all have the same.</param>
internal abstract record MatrixOperand(Tensor Source, int Rows, int Columns, long Step)
{
    /// <summary>The operand of another of the products.</summary>
    public abstract MatrixOperand At(int index);

    /// <summary>The same elements as a dense matrix, where they are one: those of a convolution whose window is a pixel.</summary>
    public virtual MatrixOperand AsDense() => this;
}

/// <summary>
/// Rows of a row-major matrix: element (r, c) lies at Start + r * Pitch + c, or at Start + c * Pitch + r where <paramref name="Transposed"/>.
/// </summary>
/// <param name="Start">First element, counted from the start of <paramref name="Source"/>.</param>
/// <param name="Pitch">Elements from one stored row to the next.</param>
internal sealed record DenseOperand(Tensor Source, int Rows, int Columns, long Start, int Pitch, bool Transposed, long Step = 0)
    : MatrixOperand(Source, Rows, Columns, Step)
{
    public override DenseOperand At(int index) => this with { Start = Start + index * Step };
}

/// <summary>
/// im2col of an NHWC image, never written down: row = output pixel (n, y, x), column = (kh, kw, c) of one group's channels.
/// Transposed, it is the A operand of the weight gradient.
/// </summary>
internal sealed record PatchesOperand(Tensor Source, Conv2dGeometry Geometry, int Group, bool Transposed)
    : MatrixOperand(Source, Transposed ? Geometry.Patch : Geometry.OutPixels, Transposed ? Geometry.OutPixels : Geometry.Patch, Geometry.GroupChannels)
{
    public override PatchesOperand At(int index) => this with { Group = Group + index };

    public override MatrixOperand AsDense() => Geometry.IsPointwise
        ? new DenseOperand(Source, Rows, Columns, (long)Group * Geometry.GroupChannels, Geometry.Channels, Transposed, Step)
        : this;
}

/// <summary>
/// The output gradient as the input gradient's A operand: row = input pixel (n, y, x), column = (kh, kw, filter of the group),
/// taps in reverse order. A tap contributes where the input pixel lies on the stride grid.
/// </summary>
internal sealed record GradientPatchesOperand(Tensor Source, Conv2dGeometry Geometry, int Group)
    : MatrixOperand(Source, Geometry.InPixels, Geometry.KernelHeight * Geometry.KernelWidth * Geometry.GroupFilters, Geometry.GroupFilters)
{
    /// <summary>Whether there are taps off the stride grid.</summary>
    public bool IsStrided => Geometry.Window.Stride != 1;

    public override GradientPatchesOperand At(int index) => this with { Group = Group + index };

    public override MatrixOperand AsDense() => Geometry.IsPointwise
        ? new DenseOperand(Source, Rows, Columns, (long)Group * Geometry.GroupFilters, Geometry.Filters, Transposed: false, Step)
        : this;
}

/// <summary>
/// One group's weights [kh, kw, c, filter] as the input gradient's B operand: row = (kh, kw, filter) with the taps in reverse
/// order, column = c.
/// </summary>
internal sealed record ReversedTapsOperand(Tensor Source, Conv2dGeometry Geometry, int Group)
    : MatrixOperand(Source, Geometry.KernelHeight * Geometry.KernelWidth * Geometry.GroupFilters, Geometry.GroupChannels, Geometry.GroupWeights)
{
    public override ReversedTapsOperand At(int index) => this with { Group = Group + index };

    public override MatrixOperand AsDense() => Geometry.IsPointwise
        ? new DenseOperand(Source, Rows, Columns, Group * Geometry.GroupWeights, Geometry.GroupFilters, Transposed: true, Step)
        : this;
}

/// <summary>
/// C[m, n] = f(A[m, k] * B[k, n] + bias[n]): working storage in, FP32 sums, working storage out. The one heart of the house:
/// linear layers and all three passes of a convolution are callers of it. f is the work of the next step, where
/// <see cref="Fusion"/> joined it; else none.
/// Element (r, c) of C lies at <paramref name="start"/> + r * <paramref name="pitch"/> + c of <paramref name="c"/>.
/// <para>
/// Or <paramref name="count"/> such products of one shape, independent of each other, such as the groups of a convolution: the i-th has its operands i times their
/// steps further on, its C i * <paramref name="step"/>, its bias i * n.
/// </para>
/// </summary>
internal sealed class MatrixProduct(
    string name, MatrixOperand a, MatrixOperand b, Tensor c, long start, int pitch, Tensor? bias = null,
    ElementKernel? next = null, ColumnReader? reader = null, int count = 1, long step = 0) : Kernel
{
    public override string Name { get; } = next is null ? name : $"{name} + {next.Name}";
    public MatrixOperand A { get; } = a;
    public MatrixOperand B { get; } = b;
    public Tensor C { get; } = c;

    /// <summary>First element of C, from the start of <see cref="C"/>; a group's filters begin there.</summary>
    public long Start { get; } = start;

    /// <summary>Elements from one row of C to the next.</summary>
    public int Pitch { get; } = pitch;

    /// <summary>Products; of one shape.</summary>
    public int Count { get; } = count;

    /// <summary>Elements from one product's C to the next one's.</summary>
    public long Step { get; } = step;

    /// <summary>One element of working storage per column of every C, or null. It has exactly <see cref="Count"/> * n elements.</summary>
    public Tensor? Bias { get; } = bias;

    /// <summary>What is done to each element of C before it is stored; null for nothing.</summary>
    public ElementKernel? Next { get; } = next;

    /// <summary>A later step that begins with sums over the columns of C; the product may take them as it stores. Null for none.</summary>
    public ColumnReader? Reader { get; } = reader;

    public int M => A.Rows;
    public int N => B.Columns;
    public int K => A.Columns;

    public override IReadOnlyList<Tensor> Reads { get; } =
        [a.Source, b.Source, .. bias is null ? (Tensor[])[] : [bias], .. next?.OthersRead ?? [], .. reader?.SumsRead ?? []];

    public override IReadOnlyList<Tensor> Writes { get; } = reader is null ? [c] : [c, reader.Parts];

    /// <summary>2 m n k. The input gradient of a convolution with a stride counts what its forward does: the other taps meet no output pixel.</summary>
    public override long FloatingPointOperations => Count * (A is GradientPatchesOperand { Geometry: var g } ? 2L * g.OutPixels * g.Patch * g.GroupFilters : 2L * M * N * K);

    /// <summary>One of the products.</summary>
    public MatrixProduct At(int index) =>
        new(name, A.At(index), B.At(index), C, Start + index * Step, Pitch, Bias?.Slice($"{Bias.Name}[{index}]", index * (long)N, N), Next);

    /// <summary>The same product of dense matrices, where its operands are such.</summary>
    public MatrixProduct AsDense() => new(name, A.AsDense(), B.AsDense(), C, Start, Pitch, Bias, Next, Reader, Count, Step);

    public override Kernel? Then(ElementKernel next) => Next is null && next.From == C && IsWhole
        ? new MatrixProduct(name, A, B, next.To, Start, Pitch, Bias, next, null, Count, Step)
        : null;

    /// <summary>This product with a reader of its columns; null where it has one, is several, or does not write all of what that reads.</summary>
    public MatrixProduct? ReadBy(ColumnReader reader) => Reader is null && reader.From == C && IsWhole && Count == 1
        ? new MatrixProduct(name, A, B, C, Start, Pitch, Bias, Next, reader)
        : null;

    private bool IsWhole => (long)Count * M * N == C.Length;

    public override Action BindCpu<T, TStorage>(CpuBackend cpu) => cpu.Gemm<T, TStorage>(this);

    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.Gemm<T, TStorage>(this);
}
