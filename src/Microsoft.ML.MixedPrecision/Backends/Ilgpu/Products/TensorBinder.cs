using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Binds a product to <see cref="TensorProduct"/> or <see cref="WarpGroupProduct"/>: finds the readers and layouts of its operands, and the tile.</summary>
internal static class TensorBinder
{
    /// <summary>Halves that are copied at once.</summary>
    private const int Chunk = 8;

    public static Action Bind<T, TStorage>(IlgpuBackend gpu, MatrixProduct product, TensorPlan plan)
        where T : unmanaged where TStorage : struct, IStorage<T>
    {
        product = product.AsDense(); // an index of a dense matrix takes a third of the instructions
        var user = new SumsUser<T, TStorage>(gpu, product, plan);
        return RowsSummed(product, plan) == 0 ? user.With(new NoSums()) : product.Reader!.Give<T, TStorage>(gpu, user);
    }

    /// <summary>How a product is laid out: for warp groups where the device has them, both operands come in whole chunks, and a convolution's kernel is no larger than 16 x 16.</summary>
    public static TensorPlan PlanOf(IlgpuBackend gpu, MatrixProduct product)
    {
        int byElements = ByElements(product);
        return TensorPlan.Of(product, gpu.HasWarpGroups && byElements == 0 && FitsMask(product.A), byElements);
    }

    /// <summary>Whether <see cref="GpuMaskedPatches"/> can read it, or need not.</summary>
    private static bool FitsMask(MatrixOperand operand) => operand switch
    {
        PatchesOperand { Transposed: false, Geometry: var g } => FitsMask(g),
        GradientPatchesOperand { Geometry: var g } => FitsMask(g),
        _ => true,
    };

    private static bool FitsMask(Conv2dGeometry g) => Math.Max(g.KernelHeight, g.KernelWidth) <= GpuMaskedPatches.MostTaps;

    /// <summary>Operands that do not come in whole chunks.</summary>
    public static int ByElements(MatrixProduct product) => (Whole(product.A) ? 0 : 1) + (Whole(product.B) ? 0 : 1);

    /// <summary>Rows of each part for which a product sums the columns of what it stores: those of a tile, where they adjoin. 0 where it does not.</summary>
    public static int RowsSummed(MatrixProduct product, TensorPlan plan) =>
        product.Reader is not null && plan.Parts == 1 && StoresWhole(product) && product.A is not GradientPatchesOperand { IsStrided: true } ? plan.Tile.Rows : 0;

    private static bool StoresWhole(MatrixProduct product) => WholeLines.Are(Chunk, product.C, product.N, product.Pitch, product.Start, product.Step);

    private static bool Whole(MatrixOperand operand) => WholeLines.Are(Chunk, operand);

    private sealed class SumsUser<T, TStorage>(IlgpuBackend gpu, MatrixProduct product, TensorPlan plan) : IGpuSumsUser
        where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public Action With<TSums, TArguments>(TArguments arguments) where TSums : struct, IGpuStoredSums<TArguments> where TArguments : struct =>
            With(new ColumnSums<TSums, TArguments>(arguments));

        public Action With<TTileSums>(TTileSums sums) where TTileSums : struct, ITileSums<TTileSums>
        {
            var user = new User<T, TStorage, TTileSums>(gpu, product, plan, sums);
            return product.Next is null ? user.With(new Unchanged()) : product.Next.Give<T, TStorage>(gpu, user);
        }
    }

    private sealed class User<T, TStorage, TSums>(IlgpuBackend gpu, MatrixProduct product, TensorPlan plan, TSums sums) : IGpuElementUser
        where T : unmanaged where TStorage : struct, IStorage<T> where TSums : struct, ITileSums<TSums>
    {
        private readonly ArrayView<float> _partialSums = gpu.PartialSums(plan.Parts == 1 ? 0 : (long)product.Count * plan.Parts * product.M * product.N);

        public Action With<TElement>(TElement element) where TElement : struct, IGpuElement => product.A switch
        {
            DenseOperand { Transposed: false } a => WithA<TElement, DepthChunks, DepthLines, GpuDense>(element, new(a)),
            DenseOperand a => WithA<TElement, OuterChunks, OuterLines, GpuDense>(element, new(a)),
            PatchesOperand { Transposed: false } a => WithPatches(element, new(a.Geometry, a.Group)),
            PatchesOperand a => WithA<TElement, OuterChunks, OuterLines, GpuTransposed<GpuPatches>>(element, new(new(a.Geometry, a.Group))),
            GradientPatchesOperand { IsStrided: true } => StridedGradient.BindTensor<T, TStorage, TElement>(gpu, product, plan, element, Whole(product.A) && Whole(product.B), StoresWhole(product)),
            GradientPatchesOperand a => WithPatches(element, GpuPatches.OfGradient(a.Geometry, a.Group)),
            _ => throw new NotSupportedException($"'{product.Name}': {product.A.GetType().Name} cannot be the left operand."),
        };

        private Action WithPatches<TElement>(TElement element, GpuPatches a) where TElement : struct, IGpuElement => plan.Tile.OfWarpGroups
            ? WithGroups<TElement, DepthLines, GpuMaskedPatches>(element, new(new(a)))
            : WithA<TElement, DepthChunks, DepthLines, GpuPatches>(element, a);

        private Action WithA<TElement, TLayoutA, TLinesA, TA>(TElement element, TA a)
            where TElement : struct, IGpuElement where TLayoutA : struct, ITileLayout where TLinesA : struct, ISwizzledLines where TA : struct, IGpuOperand => plan.Tile.OfWarpGroups
                ? WithGroups<TElement, TLinesA, TA>(element, new(a))
                : Whole(product.A)
                    ? WithB<TElement, TLayoutA, WholeChunks<TA>>(element, new(a))
                    : WithB<TElement, TLayoutA, SingleElements<TA, TLayoutA>>(element, new(a));

        private Action WithGroups<TElement, TLinesA, TA>(TElement element, WholeChunks<TA> a) where TElement : struct, IGpuElement where TLinesA : struct, ISwizzledLines where TA : struct, IGpuOperand => product.B switch
        {
            DenseOperand { Transposed: false } b => WithGroups<TElement, TLinesA, TA, OuterLines, GpuTransposed<GpuDense>>(element, a, new(new(new(b)))),
            DenseOperand b => WithGroups<TElement, TLinesA, TA, DepthLines, GpuTransposed<GpuDense>>(element, a, new(new(new(b)))),
            ReversedTapsOperand b => WithGroups<TElement, TLinesA, TA, DepthLines, GpuTransposed<GpuReversedTaps>>(element, a, new(new(new(b.Geometry, b.Group)))),
            _ => throw Unreadable(),
        };

        private Action WithB<TElement, TLayoutA, TA>(TElement element, TA a) where TElement : struct, IGpuElement where TLayoutA : struct, ITileLayout where TA : struct, IGpuTile<TA> => product.B switch
        {
            DenseOperand { Transposed: false } b => WithB<TElement, TLayoutA, TA, OuterChunks, GpuTransposed<GpuDense>>(element, a, new(new(b))),
            DenseOperand b => WithB<TElement, TLayoutA, TA, DepthChunks, GpuTransposed<GpuDense>>(element, a, new(new(b))),
            ReversedTapsOperand b => WithB<TElement, TLayoutA, TA, DepthChunks, GpuTransposed<GpuReversedTaps>>(element, a, new(new(b.Geometry, b.Group))),
            _ => throw Unreadable(),
        };

        private NotSupportedException Unreadable() => new($"'{product.Name}': {product.B.GetType().Name} cannot be the right operand.");

        private Action WithB<TElement, TLayoutA, TA, TLayoutB, TB>(TElement element, TA a, TB b)
            where TElement : struct, IGpuElement where TLayoutA : struct, ITileLayout where TA : struct, IGpuTile<TA> where TLayoutB : struct, ITileLayout where TB : struct, IGpuOperand =>
            Whole(product.B)
                ? WithTiles<TElement, TLayoutA, TA, TLayoutB, WholeChunks<TB>>(element, a, new(b))
                : WithTiles<TElement, TLayoutA, TA, TLayoutB, SingleElements<TB, TLayoutB>>(element, a, new(b));

        private Action WithGroups<TElement, TLinesA, TA, TLinesB, TB>(TElement element, WholeChunks<TA> a, WholeChunks<TB> b)
            where TElement : struct, IGpuElement where TLinesA : struct, ISwizzledLines where TA : struct, IGpuOperand where TLinesB : struct, ISwizzledLines where TB : struct, IGpuOperand
        {
            var arguments = Arguments(element, a, b);
            var run = plan.Tile == TensorPlan.Tallest ? Launch(WarpGroupProduct.Run<T, TStorage, TallGroups, GroupSums128, TA, TLinesA, TB, TLinesB, TElement, TSums>, arguments)
                : plan.Tile == TensorPlan.Square ? Launch(WarpGroupProduct.Run<T, TStorage, PairedGroups, GroupSums128, TA, TLinesA, TB, TLinesB, TElement, TSums>, arguments)
                : plan.Tile == TensorPlan.Narrow ? Launch(WarpGroupProduct.Run<T, TStorage, PairedGroups, GroupSums64, TA, TLinesA, TB, TLinesB, TElement, TSums>, arguments)
                : Launch(WarpGroupProduct.Run<T, TStorage, SingleGroup, GroupSums64, TA, TLinesA, TB, TLinesB, TElement, TSums>, arguments);
            return WithParts(run, arguments.Target);
        }

        private Action WithTiles<TElement, TLayoutA, TA, TLayoutB, TB>(TElement element, TA a, TB b)
            where TElement : struct, IGpuElement where TLayoutA : struct, ITileLayout where TA : struct, IGpuTile<TA> where TLayoutB : struct, ITileLayout where TB : struct, IGpuTile<TB>
        {
            var arguments = Arguments(element, a, b);
            var run = plan.Tile == TensorPlan.Large ? Launch(TensorProduct.Run<T, TStorage, LargeShape, TA, TLayoutA, TB, TLayoutB, TElement, TSums>, arguments)
                : plan.Tile == TensorPlan.Tall ? Launch(TensorProduct.Run<T, TStorage, TallShape, TA, TLayoutA, TB, TLayoutB, TElement, TSums>, arguments)
                : Launch(TensorProduct.Run<T, TStorage, SmallShape, TA, TLayoutA, TB, TLayoutB, TElement, TSums>, arguments);
            return WithParts(run, arguments.Target);
        }

        private int TilesDown => (product.M + plan.Tile.Rows - 1) / plan.Tile.Rows;

        private int TilesAcross => (product.N + plan.Tile.Columns - 1) / plan.Tile.Columns;

        private TensorProduct.Arguments<T, TA, TB, TElement, TSums> Arguments<TElement, TA, TB>(TElement element, TA a, TB b)
            where TElement : struct, IGpuElement where TA : struct, IGpuTile<TA> where TB : struct, IGpuTile<TB> => new(
            gpu.View<T>(product.A.Source), gpu.View<T>(product.B.Source), a, b, checked((int)product.A.Step), checked((int)product.B.Step), product.M, product.N, product.K, plan.Parts, plan.PartDepth, TilesDown, new(TilesAcross),
            _partialSums, StoresWhole(product), ProductTarget<T, TElement>.Of(gpu, product, element), sums);

        private Action Launch<TArguments>(Action<TArguments> kernel, TArguments arguments) where TArguments : struct => gpu.ForGroups(
            new Index3D(checked(TilesDown * TilesAcross), plan.Parts, product.Count), new Index3D(plan.Tile.Threads, 1, 1), kernel, arguments, plan.Tile.LimitedTo, plan.Tile.SharedBytes);

        /// <summary>Where k is cut into parts, a second launch adds their sums.</summary>
        private Action WithParts<TElement>(Action run, ProductTarget<T, TElement> target) where TElement : struct, IGpuElement
        {
            if (plan.Parts == 1) return run;
            var add = PartTotal.Bind<T, TStorage, TElement>(gpu, product.Count, product.M, product.N, plan.Parts, _partialSums, target);
            return () => { run(); add(); };
        }
    }
}
