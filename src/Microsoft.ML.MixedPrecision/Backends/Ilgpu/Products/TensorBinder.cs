using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Binds a product to <see cref="TensorProduct"/>: finds the readers and layouts of its operands, and the tile.</summary>
internal static class TensorBinder
{
    public static Action Bind<T, TStorage>(IlgpuBackend gpu, MatrixProduct product, TensorPlan plan)
        where T : unmanaged where TStorage : struct, IStorage<T>
    {
        var user = new SumsUser<T, TStorage>(gpu, product, plan);
        return RowsSummed(product, plan) == 0 ? user.With(new NoSums()) : product.Reader!.Give<T, TStorage>(gpu, user);
    }

    /// <summary>Rows of each part for which a product sums the columns of what it stores: those of a tile, where they adjoin. 0 where it does not.</summary>
    public static int RowsSummed(MatrixProduct product, TensorPlan plan) =>
        product.Reader is not null && plan.Parts == 1 && StoresWhole(product) && product.A is not GradientPatchesOperand { IsStrided: true } ? plan.Tile.Rows : 0;

    private static bool StoresWhole(MatrixProduct product) => Whole(product.C, product.N, product.Pitch, product.Start, product.Step);

    /// <summary>Whether chunks of eight are whole and aligned: all that the fast way asks of a shape.</summary>
    /// <param name="adjoining">Elements along the direction in which neighbours adjoin.</param>
    /// <param name="pitch">From one line of them to the next.</param>
    /// <param name="start">The first.</param>
    /// <param name="step">From one product to the next.</param>
    private static bool Whole(Tensor tensor, long adjoining, long pitch, long start, long step) => ((adjoining | pitch | (start + tensor.Start) | step) & 7) == 0;

    private static bool Whole(MatrixOperand operand) => operand switch
    {
        DenseOperand o => Whole(o.Source, o.Transposed ? o.Rows : o.Columns, o.Pitch, o.Start, o.Step),
        PatchesOperand { Geometry: var g } o => Whole(o.Source, g.GroupChannels, g.Channels, 0, o.Step),
        GradientPatchesOperand { Geometry: var g } o => Whole(o.Source, g.GroupFilters, g.Filters, 0, o.Step),
        ReversedTapsOperand { Geometry: var g } o => Whole(o.Source, g.GroupFilters, g.GroupFilters, 0, o.Step),
        _ => false,
    };

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
        public Action With<TElement>(TElement element) where TElement : struct, IGpuElement => product.A switch
        {
            DenseOperand { Transposed: false } a => WithA<TElement, DepthChunks, GpuDense>(element, new(a)),
            DenseOperand a => WithA<TElement, OuterChunks, GpuDense>(element, new(a)),
            PatchesOperand { Transposed: false } a => WithA<TElement, DepthChunks, GpuPatches>(element, new(a.Geometry, a.Group)),
            PatchesOperand a => WithA<TElement, OuterChunks, GpuTransposed<GpuPatches>>(element, new(new(a.Geometry, a.Group))),
            GradientPatchesOperand { IsStrided: true } => StridedGradient.BindTensor<T, TStorage, TElement>(gpu, product, plan, element, Whole(product.A) && Whole(product.B), StoresWhole(product)),
            GradientPatchesOperand a => WithA<TElement, DepthChunks, GpuPatches>(element, GpuPatches.OfGradient(a.Geometry, a.Group)),
            _ => throw new NotSupportedException($"'{product.Name}': {product.A.GetType().Name} cannot be the left operand."),
        };

        private Action WithA<TElement, TLayoutA, TA>(TElement element, TA a) where TElement : struct, IGpuElement where TLayoutA : struct, ITileLayout where TA : struct, IGpuOperand =>
            Whole(product.A)
                ? WithB<TElement, TLayoutA, WholeChunks<TA>>(element, new(a))
                : WithB<TElement, TLayoutA, SingleElements<TA, TLayoutA>>(element, new(a));

        private Action WithB<TElement, TLayoutA, TA>(TElement element, TA a) where TElement : struct, IGpuElement where TLayoutA : struct, ITileLayout where TA : struct, IGpuTile<TA> => product.B switch
        {
            DenseOperand { Transposed: false } b => WithB<TElement, TLayoutA, TA, OuterChunks, GpuTransposed<GpuDense>>(element, a, new(new(b))),
            DenseOperand b => WithB<TElement, TLayoutA, TA, DepthChunks, GpuTransposed<GpuDense>>(element, a, new(new(b))),
            ReversedTapsOperand b => WithB<TElement, TLayoutA, TA, DepthChunks, GpuTransposed<GpuReversedTaps>>(element, a, new(new(b.Geometry, b.Group))),
            _ => throw new NotSupportedException($"'{product.Name}': {product.B.GetType().Name} cannot be the right operand."),
        };

        private Action WithB<TElement, TLayoutA, TA, TLayoutB, TB>(TElement element, TA a, TB b)
            where TElement : struct, IGpuElement where TLayoutA : struct, ITileLayout where TA : struct, IGpuTile<TA> where TLayoutB : struct, ITileLayout where TB : struct, IGpuOperand =>
            Whole(product.B)
                ? WithTiles<TElement, TLayoutA, TA, TLayoutB, WholeChunks<TB>>(element, a, new(b))
                : WithTiles<TElement, TLayoutA, TA, TLayoutB, SingleElements<TB, TLayoutB>>(element, a, new(b));

        private Action WithTiles<TElement, TLayoutA, TA, TLayoutB, TB>(TElement element, TA a, TB b)
            where TElement : struct, IGpuElement where TLayoutA : struct, ITileLayout where TA : struct, IGpuTile<TA> where TLayoutB : struct, ITileLayout where TB : struct, IGpuTile<TB>
        {
            var (m, n, tile) = (product.M, product.N, plan.Tile);
            int down = (m + tile.Rows - 1) / tile.Rows, across = (n + tile.Columns - 1) / tile.Columns;
            var target = ProductTarget<T, TElement>.Of(gpu, product, element);
            var arguments = new TensorProduct.Arguments<T, TA, TB, TElement, TSums>(
                gpu.View<T>(product.A.Source), gpu.View<T>(product.B.Source), a, b, checked((int)product.A.Step), checked((int)product.B.Step), m, n, product.K, plan.Parts, plan.PartDepth, down, across,
                gpu.PartialSums, StoresWhole(product), target, sums);
            var (groups, threads) = (new Index3D(checked(product.Count * down * across), plan.Parts, 1), new Index3D(tile.Threads, 1, 1));
            // With one register more than 128 for a thread, the largest tile's groups would run alone.
            var run = tile == TensorPlan.Large ? gpu.ForGroups(groups, threads, TensorProduct.Run<T, TStorage, LargeShape, TA, TLayoutA, TB, TLayoutB, TElement, TSums>, arguments, TensorPlan.Large.Resident)
                : tile == TensorPlan.Tall ? gpu.ForGroups(groups, threads, TensorProduct.Run<T, TStorage, TallShape, TA, TLayoutA, TB, TLayoutB, TElement, TSums>, arguments)
                : gpu.ForGroups(groups, threads, TensorProduct.Run<T, TStorage, SmallShape, TA, TLayoutA, TB, TLayoutB, TElement, TSums>, arguments);
            if (plan.Parts == 1) return run;
            var add = gpu.For((long)product.Count * m * n, PartTotal.Run<T, TStorage, TElement>, new PartTotal.Arguments<T, TElement>(gpu.PartialSums, plan.Parts, m, n, target));
            return () => { run(); add(); };
        }
    }
}
