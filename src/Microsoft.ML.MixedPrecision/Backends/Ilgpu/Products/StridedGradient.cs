using ILGPU;
using ILGPU.Runtime;
using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The input gradient of a convolution with a stride, on tensor cores and through <see cref="PortableProduct"/>: one launch for all of its <see cref="GradientPhases"/>, each with
/// rows, k and operands of its own. A pixel sees a quarter of the taps where the stride is 2, so that is a quarter of the products that a column for every tap would take;
/// and where an image is small, a launch for each phase would be too short to fill a GPU. Phases run one after the other, the longest first, so that none of its groups is the last
/// to begin; where some have no taps and wait for memory only, groups of all phases alternate, so that others multiply meanwhile.
/// </summary>
internal static class StridedGradient
{
    /// <summary>What a group is of.</summary>
    private readonly struct Place(int phase, int product, int tile)
    {
        public readonly int Phase = phase, Product = product, Tile = tile;

        public static Place Of(int phases, int products, int tiles, int alternate)
        {
            int divisor = Utilities.Select(alternate != 0, phases, products * tiles), quotient = Grid.IdxX / divisor, rest = Grid.IdxX - quotient * divisor;
            int phase = Utilities.Select(alternate != 0, rest, quotient), inPhase = Utilities.Select(alternate != 0, quotient, rest), product = inPhase / tiles;
            return new(phase, product, inPhase - product * tiles);
        }
    }

    /// <param name="rows">Of the largest phase.</param>
    /// <param name="count">Products that each phase has: the groups of the convolution.</param>
    internal readonly struct Arguments<T, TElement>(
        ArrayView<T> a, ArrayView<T> b, GradientPhases phases, int stepA, int stepB, int count, int rows, int n, int parts, int partDepth, int tilesDown, int tilesAcross,
        ArrayView<float> partialSums, bool wholeChunks, ProductTarget<T, TElement> target)
        where T : unmanaged where TElement : struct, IGpuElement
    {
        public readonly ArrayView<T> A = a, B = b;
        public readonly GradientPhases Phases = phases;
        public readonly int StepA = stepA, StepB = stepB, Count = count, Rows = rows, N = n, Parts = parts, PartDepth = partDepth, TilesDown = tilesDown, TilesAcross = tilesAcross;
        public readonly Divisor ByTilesAcross = new(tilesAcross);
        public readonly int Alternate = phases.SkipPixels ? 1 : 0;
        public readonly ArrayView<float> PartialSums = partialSums;
        public readonly int WholeChunks = wholeChunks ? 1 : 0;
        public readonly ProductTarget<T, TElement> Target = target;
    }

    /// <param name="wholeOperands">Whether chunks of eight are whole and aligned in both operands. Others go by the smallest tile: for larger ones the readers of a phase, which the kernel makes itself, leave too few registers.</param>
    /// <param name="storesWhole">Whether they are in C.</param>
    public static Action BindTensor<T, TStorage, TElement>(IlgpuBackend gpu, MatrixProduct product, TensorPlan plan, TElement element, bool wholeOperands, bool storesWhole)
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement => wholeOperands
        ? BindTensor<T, TStorage, WholeChunks<GpuPatches>, WholeChunks<GpuTransposed<GpuPhaseTaps>>, TElement>(gpu, product, plan, element, storesWhole)
        : BindTensor<T, TStorage, SingleElements<GpuPatches, DepthChunks>, SingleElements<GpuTransposed<GpuPhaseTaps>, DepthChunks>, TElement>(gpu, product, plan with { Tile = TensorPlan.Small }, element, storesWhole);

    private static Action BindTensor<T, TStorage, TA, TB, TElement>(IlgpuBackend gpu, MatrixProduct product, TensorPlan plan, TElement element, bool storesWhole)
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement
        where TA : struct, IGpuTile<TA>, IGpuTileOf<TA, GpuPatches> where TB : struct, IGpuTile<TB>, IGpuTileOf<TB, GpuTransposed<GpuPhaseTaps>>
    {
        var tile = plan.Tile;
        if (tile.OfWarpGroups) return BindWarpGroups<T, TStorage, TElement>(gpu, product, plan, element, storesWhole);
        var arguments = Of<T, TElement>(gpu, product, element, tile.Rows, tile.Columns, plan.Parts, plan.PartDepth, storesWhole);
        Action<Arguments<T, TElement>> kernel = tile == TensorPlan.Large ? OnTensorCores<T, TStorage, LargeShape, TA, TB, TElement>
            : tile == TensorPlan.Tall ? OnTensorCores<T, TStorage, TallShape, TA, TB, TElement>
            : OnTensorCores<T, TStorage, SmallShape, TA, TB, TElement>;
        return WithTotal<T, TStorage, TElement>(gpu, arguments, Launch(gpu, tile, kernel, arguments));
    }

    private static Action BindWarpGroups<T, TStorage, TElement>(IlgpuBackend gpu, MatrixProduct product, TensorPlan plan, TElement element, bool storesWhole)
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement
    {
        var tile = plan.Tile;
        var arguments = Of<T, TElement>(gpu, product, element, tile.Rows, tile.Columns, plan.Parts, plan.PartDepth, storesWhole);
        Action<Arguments<T, TElement>> kernel = tile == TensorPlan.Tallest ? ByWarpGroups<T, TStorage, TallGroups, GroupSums128, TElement>
            : tile == TensorPlan.Square ? ByWarpGroups<T, TStorage, PairedGroups, GroupSums128, TElement>
            : tile == TensorPlan.Narrow ? ByWarpGroups<T, TStorage, PairedGroups, GroupSums64, TElement>
            : ByWarpGroups<T, TStorage, SingleGroup, GroupSums64, TElement>;
        return WithTotal<T, TStorage, TElement>(gpu, arguments, Launch(gpu, tile, kernel, arguments));
    }

    private static Action Launch<T, TElement>(IlgpuBackend gpu, TensorTile tile, Action<Arguments<T, TElement>> kernel, Arguments<T, TElement> arguments) where T : unmanaged where TElement : struct, IGpuElement => gpu.ForGroups(
        new Index3D(checked(arguments.Phases.Count * arguments.Count * arguments.TilesDown * arguments.TilesAcross), arguments.Parts, 1), new Index3D(tile.Threads, 1, 1), kernel, arguments, tile.LimitedTo, tile.SharedBytes);

    public static Action BindPortable<T, TStorage, TElement>(IlgpuBackend gpu, MatrixProduct product, PortablePlan plan, TElement element)
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement
    {
        var arguments = Of<T, TElement>(gpu, product, element, plan.Side, plan.Side, plan.Parts, plan.PartDepth, storesWhole: false);
        Action<Arguments<T, TElement>> kernel = (plan.IsLarge, PortableProduct.ReadsByQuads(product)) switch
        {
            (true, true) => Portable<T, TStorage, LargeTile, ByQuads, TElement>,
            (true, false) => Portable<T, TStorage, LargeTile, ByElements, TElement>,
            (false, true) => Portable<T, TStorage, SmallTile, ByQuads, TElement>,
            (false, false) => Portable<T, TStorage, SmallTile, ByElements, TElement>,
        };
        var run = gpu.ForGroups(new Index3D(checked(arguments.Phases.Count * arguments.Count * arguments.TilesDown), arguments.TilesAcross, plan.Parts), new Index3D(PortableProduct.Threads, 1, 1), kernel, arguments);
        return WithTotal<T, TStorage, TElement>(gpu, arguments, run);
    }

    private static Arguments<T, TElement> Of<T, TElement>(IlgpuBackend gpu, MatrixProduct product, TElement element, int tileRows, int tileColumns, int parts, int partDepth, bool storesWhole)
        where T : unmanaged where TElement : struct, IGpuElement
    {
        var phases = GradientPhases.Of(product);
        return new(gpu.View<T>(product.A.Source), gpu.View<T>(product.B.Source), phases, checked((int)product.A.Step), checked((int)product.B.Step), product.Count, phases.MostRows, product.N, parts, partDepth,
            (phases.MostRows + tileRows - 1) / tileRows, (product.N + tileColumns - 1) / tileColumns, gpu.PartialSums(parts == 1 ? 0 : (long)phases.Count * product.Count * parts * phases.MostRows * product.N), storesWhole, ProductTarget<T, TElement>.Of(gpu, product, element));
    }

    private static Action WithTotal<T, TStorage, TElement>(IlgpuBackend gpu, Arguments<T, TElement> arguments, Action run)
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement
    {
        if (arguments.Parts == 1) return run;
        var add = gpu.For((long)arguments.Phases.Count * arguments.Count * arguments.Rows * arguments.N, Total<T, TStorage, TElement>, arguments);
        return () => { run(); add(); };
    }

    private static void OnTensorCores<T, TStorage, TShape, TA, TB, TElement>(Arguments<T, TElement> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TShape : struct, ITensorShape where TElement : struct, IGpuElement
        where TA : struct, IGpuTile<TA>, IGpuTileOf<TA, GpuPatches> where TB : struct, IGpuTile<TB>, IGpuTileOf<TB, GpuTransposed<GpuPhaseTaps>>
    {
        var place = Place.Of(a.Phases.Count, a.Count, a.TilesDown * a.TilesAcross, a.Alternate);
        int index = place.Phase, slot = index * a.Count + place.Product, tileRows = TShape.WarpsDown * WarpTile.Rows;
        AxisPhase y = GradientPhases.Y(a.Phases, index), x = GradientPhases.X(a.Phases, index);
        int m = GradientPhases.Rows(a.Phases, y, x), tilesDown = (m + tileRows - 1) / tileRows;
        if (place.Tile >= tilesDown * a.TilesAcross) return; // the phase is smaller than the largest
        TensorProduct.Tile<T, TStorage, TShape, TA, DepthChunks, TB, DepthChunks, TElement, NoSums, PhaseRows>(
            new(a.A, a.B, TA.Of(GradientPhases.Patches(a.Phases, y, x)), TB.Of(GradientPhases.Taps(a.Phases, y, x)), a.StepA, a.StepB, m, a.N, GradientPhases.Depth(a.Phases, y, x),
                a.Parts, a.PartDepth, tilesDown, a.ByTilesAcross, a.PartialSums, a.WholeChunks != 0, a.Target, new NoSums()),
            place.Product, place.Tile, GradientPhases.Target(a.Phases, y, x, slot));
    }

    private static void ByWarpGroups<T, TStorage, TShape, TGroupSums, TElement>(Arguments<T, TElement> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TShape : struct, IGroupShape where TGroupSums : struct, IGroupSums<TGroupSums> where TElement : struct, IGpuElement
    {
        var place = Place.Of(a.Phases.Count, a.Count, a.TilesDown * a.TilesAcross, a.Alternate);
        int index = place.Phase, slot = index * a.Count + place.Product, tileRows = TShape.WarpGroups * TShape.Blocks * 64;
        AxisPhase y = GradientPhases.Y(a.Phases, index), x = GradientPhases.X(a.Phases, index);
        int m = GradientPhases.Rows(a.Phases, y, x), tilesDown = (m + tileRows - 1) / tileRows;
        if (place.Tile >= tilesDown * a.TilesAcross) return;
        WarpGroupProduct.Tile<T, TStorage, TShape, TGroupSums, GpuMaskedPatches, DepthLines, GpuTransposed<GpuPhaseTaps>, DepthLines, TElement, NoSums, PhaseRows>(
            new(a.A, a.B, new(new(GradientPhases.Patches(a.Phases, y, x))), new(GradientPhases.Taps(a.Phases, y, x)), a.StepA, a.StepB, m, a.N, GradientPhases.Depth(a.Phases, y, x),
                a.Parts, a.PartDepth, tilesDown, a.ByTilesAcross, a.PartialSums, a.WholeChunks != 0, a.Target, new NoSums()),
            place.Product, place.Tile, GradientPhases.Target(a.Phases, y, x, slot));
    }

    private static void Portable<T, TStorage, TTile, TReader, TElement>(Arguments<T, TElement> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TTile : struct, IPortableTile<TTile> where TReader : struct, IBlockReader where TElement : struct, IGpuElement
    {
        var place = Place.Of(a.Phases.Count, a.Count, a.TilesDown, a.Alternate);
        int index = place.Phase, slot = index * a.Count + place.Product;
        AxisPhase y = GradientPhases.Y(a.Phases, index), x = GradientPhases.X(a.Phases, index);
        int m = GradientPhases.Rows(a.Phases, y, x);
        if (place.Tile * TTile.Side >= m) return;
        PortableProduct.Multiply<T, TStorage, TTile, TReader, GpuPatches, GpuPhaseTaps, TElement, PhaseRows>(
            new(a.A, a.B, GradientPhases.Patches(a.Phases, y, x), GradientPhases.TapsAsRows(a.Phases, y, x), a.StepA, a.StepB, m, a.N, GradientPhases.Depth(a.Phases, y, x), a.TilesDown,
                a.Parts, a.PartDepth, a.PartialSums, a.Target),
            place.Product, place.Tile, GradientPhases.Target(a.Phases, y, x, slot));
    }

    /// <summary>As <see cref="PartTotal"/>: [phases, products, parts, rows of the largest phase, n].</summary>
    private static void Total<T, TStorage, TElement>(Index1D i, Arguments<T, TElement> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement
    {
        int elements = a.Rows * a.N, slot = i / elements, element = i - slot * elements, row = element / a.N, index = slot / a.Count;
        AxisPhase y = GradientPhases.Y(a.Phases, index), x = GradientPhases.X(a.Phases, index);
        if (row >= GradientPhases.Rows(a.Phases, y, x)) return;
        float sum = 0f;
        for (int part = 0; part < a.Parts; part++) sum += a.PartialSums[(slot * a.Parts + part) * elements + element];
        var target = ProductTarget<T, TElement>.At(a.Target, slot - index * a.Count, a.N);
        target.Store<TStorage>(PhaseRows.Of(GradientPhases.Target(a.Phases, y, x, slot), row), element - row * a.N, sum);
    }
}
