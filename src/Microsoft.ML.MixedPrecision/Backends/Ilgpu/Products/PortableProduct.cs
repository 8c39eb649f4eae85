using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The matrix product for every device that ILGPU knows: C[m, n] = f(A[m, k] * B[k, n] + bias[n]).
/// A group of 64 threads, because every device allows that many, makes a tile of C. 1,024 elements of each operand at a time go through shared memory as FP32, zeros
/// beyond the matrices: a thread brings 4 x 4 of them, whose rows it takes apart once for all k, and sums in FP32.
/// <para>
/// A weight gradient is a small C with a long k: few tiles, which leave most of a GPU idle. Its k is then cut into parts, each
/// with groups of its own, and a second launch adds the parts' sums in their order. Tile and parts depend on the shape alone, so an
/// element is summed in the same order on every device.
/// </para>
/// </summary>
internal static class PortableProduct
{
    public const int Threads = 64;

    /// <summary>Of an operand, that go through shared memory at a time.</summary>
    public const int Elements = Threads * Block.Side * Block.Side;

    /// <summary>Of an operand in shared memory: 32 lines of 9 for the small tile; 16 of 17 take 272. See <see cref="Pitch"/>.</summary>
    private const int SharedQuads = 288;

    internal readonly record struct Arguments<T, TA, TB, TElement>(
        ArrayView<T> A, ArrayView<T> B, TA OperandA, TB OperandB, int StepA, int StepB, int M, int N, int K, int TilesDown, int Parts, int PartDepth,
        ArrayView<float> PartialSums, ProductTarget<T, TElement> Target)
        where T : unmanaged where TA : struct, IGpuOperand where TB : struct, IGpuOperand where TElement : struct, IGpuElement;

    public static Action Bind<T, TStorage>(IlgpuBackend gpu, MatrixProduct product, PortablePlan plan)
        where T : unmanaged where TStorage : struct, IStorage<T>
    {
        product = product.AsDense(); // an index of a dense matrix takes a third of the instructions
        var user = new User<T, TStorage>(gpu, product, plan);
        return product.Next is null ? user.With(new Unchanged()) : product.Next.Give<T, TStorage>(gpu, user);
    }

    /// <summary>Binds once it is known what is done to the elements as they are stored.</summary>
    private sealed class User<T, TStorage>(IlgpuBackend gpu, MatrixProduct product, PortablePlan plan) : IGpuElementUser
        where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TElement>(TElement element) where TElement : struct, IGpuElement => product.A switch
        {
            DenseOperand a => WithA(element, new GpuDense(a)),
            PatchesOperand { Transposed: false } a => WithA(element, new GpuPatches(a.Geometry, a.Group)),
            PatchesOperand a => WithA(element, new GpuTransposed<GpuPatches>(new(a.Geometry, a.Group))),
            GradientPatchesOperand { IsStrided: true } => StridedGradient.BindPortable<T, TStorage, TElement>(gpu, product, plan, element),
            GradientPatchesOperand a => WithA(element, GpuPatches.OfGradient(a.Geometry, a.Group)),
            _ => throw new NotSupportedException($"'{product.Name}': {product.A.GetType().Name} cannot be the left operand."),
        };

        private Action WithA<TElement, TA>(TElement element, TA a) where TElement : struct, IGpuElement where TA : struct, IGpuOperand => product.B switch
        {
            DenseOperand b => Bind<T, TStorage, TA, GpuDense, TElement>(gpu, product, plan, a, new(b), element),
            ReversedTapsOperand b => Bind<T, TStorage, TA, GpuReversedTaps, TElement>(gpu, product, plan, a, new(b.Geometry, b.Group), element),
            _ => throw new NotSupportedException($"'{product.Name}': {product.B.GetType().Name} cannot be the right operand."),
        };
    }

    private static Action Bind<T, TStorage, TA, TB, TElement>(IlgpuBackend gpu, MatrixProduct product, PortablePlan plan, TA a, TB b, TElement element)
        where T : unmanaged where TStorage : struct, IStorage<T> where TA : struct, IGpuOperand where TB : struct, IGpuOperand where TElement : struct, IGpuElement
    {
        var target = ProductTarget<T, TElement>.Of(gpu, product, element);
        int m = product.M, n = product.N, k = product.K;
        var partialSums = gpu.PartialSums(plan.Parts == 1 ? 0 : (long)product.Count * plan.Parts * m * n);
        // Products and their rows along X: the grid's Y ends at 65,535 on CUDA, and a convolution's rows are the pixels of a batch.
        var groups = new Index3D(checked(product.Count * plan.Tiles(m)), plan.Tiles(n), plan.Parts);
        Action<Arguments<T, TA, TB, TElement>> kernel = (plan.IsLarge, ReadsByQuads(product)) switch
        {
            (true, true) => Run<T, TStorage, LargeTile, ByQuads, TA, TB, TElement>,
            (true, false) => Run<T, TStorage, LargeTile, ByElements, TA, TB, TElement>,
            (false, true) => Run<T, TStorage, SmallTile, ByQuads, TA, TB, TElement>,
            (false, false) => Run<T, TStorage, SmallTile, ByElements, TA, TB, TElement>,
        };
        var run = gpu.ForGroups(groups, new Index3D(Threads, 1, 1), kernel, new Arguments<T, TA, TB, TElement>(
            gpu.View<T>(product.A.Source), gpu.View<T>(product.B.Source), a, b, checked((int)product.A.Step), checked((int)product.B.Step), m, n, k, plan.Tiles(m), plan.Parts, plan.PartDepth, partialSums, target));
        if (plan.Parts == 1) return run;
        var add = PartTotal.Bind<T, TStorage, TElement>(gpu, product.Count, m, n, plan.Parts, partialSums, target);
        return () => { run(); add(); };
    }

    /// <summary>Whether operands are read four elements at a time.</summary>
    /// <param name="product">As it is bound.</param>
    public static bool ReadsByQuads(MatrixProduct product) => WholeLines.Are(Block.Side, product.A) && WholeLines.Are(Block.Side, product.B);

    private static void Run<T, TStorage, TTile, TReader, TA, TB, TElement>(Arguments<T, TA, TB, TElement> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TTile : struct, IPortableTile<TTile> where TReader : struct, IBlockReader where TA : struct, IGpuOperand where TB : struct, IGpuOperand where TElement : struct, IGpuElement
    {
        int product = Grid.IdxX / a.TilesDown;
        Multiply<T, TStorage, TTile, TReader, TA, TB, TElement, AllRows>(a, product, Grid.IdxX - product * a.TilesDown, new AllRows(a.M));
    }

    /// <summary>What a group does.</summary>
    /// <param name="tileDown">Its tile, counted from the product's first row.</param>
    /// <param name="targetRows">Where the product's rows lie in C.</param>
    public static void Multiply<T, TStorage, TTile, TReader, TA, TB, TElement, TRows>(Arguments<T, TA, TB, TElement> a, int product, int tileDown, TRows targetRows)
        where T : unmanaged where TStorage : struct, IStorage<T> where TTile : struct, IPortableTile<TTile> where TReader : struct, IBlockReader
        where TA : struct, IGpuOperand where TB : struct, IGpuOperand where TElement : struct, IGpuElement where TRows : struct, IProductRows<TRows>
    {
        var sharedA = SharedMemory.Allocate<Quad>(SharedQuads);
        var sharedB = SharedMemory.Allocate<Quad>(SharedQuads);
        int thread = Group.IdxX, firstRow = tileDown * TTile.Side, firstColumn = Grid.IdxY * TTile.Side;
        int threadRow = thread >> 3, threadColumn = thread & 7; // of 8 x 8
        var left = PortableOperand<TA>.Of<TTile>(a.OperandA, thread, firstRow, a.M);
        var right = PortableOperand<GpuTransposed<TB>>.Of<TTile>(new(a.OperandB), thread, firstColumn, a.N);
        var sums = TTile.Zero;
        ArrayView<Quad> threadA = sharedA.SubView(threadRow), threadB = sharedB.SubView(threadColumn);

        int part = Grid.IdxZ, end = Math.Min(a.K, (part + 1) * a.PartDepth);
        for (int first = part * a.PartDepth; first < end; first += Depth<TTile>())
        {
            Block blockA = TReader.Read<T, TStorage, TA>(left, a.A, product * a.StepA, first + left.Depth, a.K);
            Block blockB = TReader.Read<T, TStorage, GpuTransposed<TB>>(right, a.B, product * a.StepB, first + right.Depth, a.K);
            PortableOperand<TA>.Store(left, blockA, sharedA, Pitch<TTile>());
            PortableOperand<GpuTransposed<TB>>.Store(right, blockB, sharedB, Pitch<TTile>());
            Group.Barrier();
            for (int k = 0; k < Depth<TTile>(); k += 16) sums = Sixteen(sums, threadA, threadB, k * Pitch<TTile>());
            Group.Barrier();
        }
        TTile.Store(sums, new Target<T, TStorage, TA, TB, TElement, TRows>(a, targetRows, product, part), firstRow + threadRow * Block.Side, firstColumn + threadColumn * Block.Side);
    }

    /// <summary>Adds the products of 16 values of k. One after the other in the code, so that an address takes no instruction.</summary>
    private static TTile Sixteen<TTile>(TTile sums, ArrayView<Quad> a, ArrayView<Quad> b, int place) where TTile : struct, IPortableTile<TTile> =>
        Four(Four(Four(Four(sums, a, b, place), a, b, place + 4 * Pitch<TTile>()), a, b, place + 8 * Pitch<TTile>()), a, b, place + 12 * Pitch<TTile>());

    private static TTile Four<TTile>(TTile sums, ArrayView<Quad> a, ArrayView<Quad> b, int place) where TTile : struct, IPortableTile<TTile>
    {
        TTile two = TTile.MultiplyAdd(TTile.MultiplyAdd(sums, a, b, place), a, b, place + Pitch<TTile>());
        return TTile.MultiplyAdd(TTile.MultiplyAdd(two, a, b, place + 2 * Pitch<TTile>()), a, b, place + 3 * Pitch<TTile>());
    }

    /// <summary>Values of k that go through shared memory at a time.</summary>
    private static int Depth<TTile>() where TTile : struct, IPortableTile<TTile> => Elements >> (TTile.QuadShift + 2);

    /// <summary>Quads from one k to the next in shared memory: one more than the tile has, so that threads that store for neighbouring k meet fewer equal banks.</summary>
    private static int Pitch<TTile>() where TTile : struct, IPortableTile<TTile> => (1 << TTile.QuadShift) + 1;

    private readonly struct Target<T, TStorage, TA, TB, TElement, TRows>(Arguments<T, TA, TB, TElement> a, TRows rows, int product, int part) : IBlockTarget
        where T : unmanaged where TStorage : struct, IStorage<T> where TA : struct, IGpuOperand where TB : struct, IGpuOperand where TElement : struct, IGpuElement where TRows : struct, IProductRows<TRows>
    {
        private readonly Arguments<T, TA, TB, TElement> _a = a;
        private readonly TRows _rows = rows;
        private readonly int _product = product, _part = part;

        public void Store(Block sums, int row, int column)
        {
            StoreRow(sums.Row0, row, column);
            StoreRow(sums.Row1, row + 1, column);
            StoreRow(sums.Row2, row + 2, column);
            StoreRow(sums.Row3, row + 3, column);
        }

        private void StoreRow(Quad sums, int row, int column)
        {
            if (row >= _a.M) return;
            StoreElement(sums.A, row, column);
            StoreElement(sums.B, row, column + 1);
            StoreElement(sums.C, row, column + 2);
            StoreElement(sums.D, row, column + 3);
        }

        private void StoreElement(float sum, int row, int column)
        {
            if (column >= _a.N) return;
            if (_a.Parts > 1) _a.PartialSums[(TRows.PartRow(_rows, _product, _a.Parts, _part) + row) * _a.N + column] = sum;
            else ProductTarget<T, TElement>.At(_a.Target, _product, _a.N).Store<TStorage>(TRows.Of(_rows, row), column, sum);
        }
    }
}
