using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Four floats that shared memory gives at once.</summary>
internal readonly record struct Quad(float A, float B, float C, float D)
{
    /// <summary>factor * values + sums.</summary>
    public static Quad MultiplyAdd(float factor, Quad values, Quad sums) =>
        new(factor * values.A + sums.A, factor * values.B + sums.B, factor * values.C + sums.C, factor * values.D + sums.D);
}

/// <summary>
/// The matrix product for every device that ILGPU knows: C[m, n] = f(A[m, k] * B[k, n] + bias[n]).
/// A group of 64 threads makes a tile of 32 x 32: 16 values of k at a time go through shared memory as FP32, zeros beyond the
/// matrices, and every thread sums 4 x 4 elements in FP32. 64 threads, because every device allows that many.
/// <para>
/// A weight gradient is a small C with a long k: few tiles, which leave most of a GPU idle. Its k is then cut into parts, each
/// with groups of its own, and a second launch adds the parts' sums in their order. The parts depend on the shape alone, so an
/// element is summed in the same order on every device.
/// </para>
/// </summary>
internal static class PortableProduct
{
    public const int Threads = 64, Tile = 32;

    private const int Depth = 16;

    /// <summary>Loads of a thread for each operand and each step of k.</summary>
    private const int Loads = Tile * Depth / Threads;

    /// <summary>
    /// Floats from one k to the next in shared memory: four more than the tile, so that threads that write one column for
    /// neighbouring k meet fewer equal banks. A multiple of four, for the quads.
    /// </summary>
    private const int Pitch = Tile + 4, QuadPitch = Pitch / 4;

    /// <summary>Groups that keep a large GPU busy, and the least k that is worth a group of its own.</summary>
    private const int BusyGroups = 256, LeastPart = 256;

    /// <summary>Most floats that the sums of all parts take: 1.5 MB.</summary>
    public const int MostPartialSums = (BusyGroups + BusyGroups / 2) * Tile * Tile;

    /// <summary>Parts that k is cut into, in each of several products.</summary>
    public static int Parts(int m, int n, int k, int count = 1)
    {
        int tiles = checked(count * Tiles(m) * Tiles(n));
        return tiles > BusyGroups / 2 ? 1 : Math.Clamp(k / LeastPart, 1, (BusyGroups + tiles - 1) / tiles);
    }

    /// <summary>Values of k in a part.</summary>
    public static int PartDepth(int k, int parts) => ((k + parts - 1) / parts + Depth - 1) / Depth * Depth;

    private static int Tiles(int length) => (length + Tile - 1) / Tile;

    internal readonly record struct Arguments<T, TA, TB, TElement>(
        ArrayView<T> A, ArrayView<T> B, TA OperandA, TB OperandB, int StepA, int StepB, int M, int N, int K, int TilesDown, int Parts, int PartDepth,
        ArrayView<float> PartialSums, ProductTarget<T, TElement> Target)
        where T : unmanaged where TA : struct, IGpuOperand where TB : struct, IGpuOperand where TElement : struct, IGpuElement;

    public static Action Bind<T, TStorage>(IlgpuBackend gpu, MatrixProduct product)
        where T : unmanaged where TStorage : struct, IStorage<T>
    {
        var user = new User<T, TStorage>(gpu, product);
        return product.Next is null ? user.With(new Unchanged()) : product.Next.Give<T, TStorage>(gpu, user);
    }

    /// <summary>Binds once it is known what is done to the elements as they are stored.</summary>
    private sealed class User<T, TStorage>(IlgpuBackend gpu, MatrixProduct product) : IGpuElementUser
        where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TElement>(TElement element) where TElement : struct, IGpuElement => product.A switch
        {
            DenseOperand a => WithA(element, new GpuDense(a)),
            PatchesOperand { Transposed: false } a => WithA(element, new GpuPatches(a.Geometry, a.Group)),
            PatchesOperand a => WithA(element, new GpuTransposed<GpuPatches>(new(a.Geometry, a.Group))),
            GradientPatchesOperand { IsStrided: true } => StridedGradient.BindPortable<T, TStorage, TElement>(gpu, product, element),
            GradientPatchesOperand a => WithA(element, GpuPatches.OfGradient(a.Geometry, a.Group)),
            _ => throw new NotSupportedException($"'{product.Name}': {product.A.GetType().Name} cannot be the left operand."),
        };

        private Action WithA<TElement, TA>(TElement element, TA a) where TElement : struct, IGpuElement where TA : struct, IGpuOperand => product.B switch
        {
            DenseOperand b => Bind<T, TStorage, TA, GpuDense, TElement>(gpu, product, a, new(b), element),
            ReversedTapsOperand b => Bind<T, TStorage, TA, GpuReversedTaps, TElement>(gpu, product, a, new(b.Geometry, b.Group), element),
            _ => throw new NotSupportedException($"'{product.Name}': {product.B.GetType().Name} cannot be the right operand."),
        };
    }

    private static Action Bind<T, TStorage, TA, TB, TElement>(IlgpuBackend gpu, MatrixProduct product, TA a, TB b, TElement element)
        where T : unmanaged where TStorage : struct, IStorage<T> where TA : struct, IGpuOperand where TB : struct, IGpuOperand where TElement : struct, IGpuElement
    {
        var target = ProductTarget<T, TElement>.Of(gpu, product, element);
        int m = product.M, n = product.N, k = product.K, parts = Parts(m, n, k, product.Count);
        var partialSums = gpu.PartialSums(parts == 1 ? 0 : (long)product.Count * parts * m * n);
        // Products and their rows along X: the grid's Y ends at 65,535 on CUDA, and a convolution's rows are the pixels of a batch.
        var run = gpu.ForGroups(new Index3D(checked(product.Count * Tiles(m)), Tiles(n), parts), new Index3D(Threads, 1, 1), Run<T, TStorage, TA, TB, TElement>, new Arguments<T, TA, TB, TElement>(
            gpu.View<T>(product.A.Source), gpu.View<T>(product.B.Source), a, b, checked((int)product.A.Step), checked((int)product.B.Step), m, n, k, Tiles(m), parts, PartDepth(k, parts), partialSums, target));
        if (parts == 1) return run;
        var add = PartTotal.Bind<T, TStorage, TElement>(gpu, product.Count, m, n, parts, partialSums, target);
        return () => { run(); add(); };
    }

    private static void Run<T, TStorage, TA, TB, TElement>(Arguments<T, TA, TB, TElement> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TA : struct, IGpuOperand where TB : struct, IGpuOperand where TElement : struct, IGpuElement
    {
        int product = Grid.IdxX / a.TilesDown;
        Multiply<T, TStorage, TA, TB, TElement, AllRows>(a, product, Grid.IdxX - product * a.TilesDown, new AllRows(a.M));
    }

    /// <summary>What a group does.</summary>
    /// <param name="tileDown">Its tile, counted from the product's first row.</param>
    /// <param name="targetRows">Where the product's rows lie in C.</param>
    public static void Multiply<T, TStorage, TA, TB, TElement, TRows>(Arguments<T, TA, TB, TElement> a, int product, int tileDown, TRows targetRows)
        where T : unmanaged where TStorage : struct, IStorage<T> where TA : struct, IGpuOperand where TB : struct, IGpuOperand where TElement : struct, IGpuElement where TRows : struct, IProductRows<TRows>
    {
        var quadsA = SharedMemory.Allocate<Quad>(Depth * QuadPitch);
        var quadsB = SharedMemory.Allocate<Quad>(Depth * QuadPitch);
        var tileA = quadsA.Cast<float>();
        var tileB = quadsB.Cast<float>();

        int thread = Group.IdxX, firstRow = tileDown * Tile, firstColumn = Grid.IdxY * Tile;
        int threadRow = thread >> 3, threadColumn = thread & 7; // of 8 x 8
        bool alongA = a.OperandA.ColumnsAdjoin != 0, alongB = a.OperandB.ColumnsAdjoin == 0; // neighbouring threads read neighbouring k
        var zero = new Quad(0f, 0f, 0f, 0f);
        Quad sum0 = zero, sum1 = zero, sum2 = zero, sum3 = zero;

        int part = Grid.IdxZ, end = Math.Min(a.K, (part + 1) * a.PartDepth);
        for (int first = part * a.PartDepth; first < end; first += Depth)
        {
            for (int load = 0; load < Loads; load++)
            {
                int element = thread + load * Threads;
                int inner = alongA ? element & 15 : element >> 5, outer = alongA ? element >> 4 : element & 31;
                float value = 0f;
                if (first + inner < a.K && firstRow + outer < a.M)
                {
                    OperandPart down = a.OperandA.Row(firstRow + outer), across = a.OperandA.Column(first + inner);
                    if (a.OperandA.Has(down, across)) value = TStorage.Load(a.A[product * a.StepA + down.X + across.X]);
                }
                tileA[inner * Pitch + outer] = value;
            }
            for (int load = 0; load < Loads; load++)
            {
                int element = thread + load * Threads;
                int inner = alongB ? element & 15 : element >> 5, outer = alongB ? element >> 4 : element & 31;
                float value = 0f;
                if (first + inner < a.K && firstColumn + outer < a.N)
                {
                    OperandPart down = a.OperandB.Row(first + inner), across = a.OperandB.Column(firstColumn + outer);
                    if (a.OperandB.Has(down, across)) value = TStorage.Load(a.B[product * a.StepB + down.X + across.X]);
                }
                tileB[inner * Pitch + outer] = value;
            }
            Group.Barrier();
            for (int k = 0; k < Depth; k++)
            {
                Quad rows = quadsA[k * QuadPitch + threadRow], columns = quadsB[k * QuadPitch + threadColumn];
                sum0 = Quad.MultiplyAdd(rows.A, columns, sum0);
                sum1 = Quad.MultiplyAdd(rows.B, columns, sum1);
                sum2 = Quad.MultiplyAdd(rows.C, columns, sum2);
                sum3 = Quad.MultiplyAdd(rows.D, columns, sum3);
            }
            Group.Barrier();
        }

        int row = firstRow + threadRow * 4, column = firstColumn + threadColumn * 4;
        StoreRow<T, TStorage, TA, TB, TElement, TRows>(a, targetRows, product, part, row, column, sum0);
        StoreRow<T, TStorage, TA, TB, TElement, TRows>(a, targetRows, product, part, row + 1, column, sum1);
        StoreRow<T, TStorage, TA, TB, TElement, TRows>(a, targetRows, product, part, row + 2, column, sum2);
        StoreRow<T, TStorage, TA, TB, TElement, TRows>(a, targetRows, product, part, row + 3, column, sum3);
    }

    private static void StoreRow<T, TStorage, TA, TB, TElement, TRows>(Arguments<T, TA, TB, TElement> a, TRows targetRows, int product, int part, int row, int column, Quad sums)
        where T : unmanaged where TStorage : struct, IStorage<T> where TA : struct, IGpuOperand where TB : struct, IGpuOperand where TElement : struct, IGpuElement where TRows : struct, IProductRows<TRows>
    {
        if (row >= a.M) return;
        StoreElement<T, TStorage, TA, TB, TElement, TRows>(a, targetRows, product, part, row, column, sums.A);
        StoreElement<T, TStorage, TA, TB, TElement, TRows>(a, targetRows, product, part, row, column + 1, sums.B);
        StoreElement<T, TStorage, TA, TB, TElement, TRows>(a, targetRows, product, part, row, column + 2, sums.C);
        StoreElement<T, TStorage, TA, TB, TElement, TRows>(a, targetRows, product, part, row, column + 3, sums.D);
    }

    private static void StoreElement<T, TStorage, TA, TB, TElement, TRows>(Arguments<T, TA, TB, TElement> a, TRows targetRows, int product, int part, int row, int column, float sum)
        where T : unmanaged where TStorage : struct, IStorage<T> where TA : struct, IGpuOperand where TB : struct, IGpuOperand where TElement : struct, IGpuElement where TRows : struct, IProductRows<TRows>
    {
        if (column >= a.N) return;
        if (a.Parts > 1) a.PartialSums[(TRows.PartRow(targetRows, product, a.Parts, part) + row) * a.N + column] = sum;
        else ProductTarget<T, TElement>.At(a.Target, product, a.N).Store<TStorage>(TRows.Of(targetRows, row), column, sum);
    }
}
