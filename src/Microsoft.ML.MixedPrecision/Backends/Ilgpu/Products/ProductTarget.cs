using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Which row of C a product's row becomes: a type parameter, so that nothing is left of it where they are the same.</summary>
internal interface IProductRows<TSelf> where TSelf : struct, IProductRows<TSelf>
{
    static abstract int Of(TSelf rows, int row);

    /// <summary>Where the sums of a part of k begin, in rows of n.</summary>
    static abstract int PartRow(TSelf rows, int product, int parts, int part);
}

/// <summary>The product's rows are C's.</summary>
internal readonly struct AllRows(int count) : IProductRows<AllRows>
{
    private readonly int _count = count;

    public static int Of(AllRows rows, int row) => row;
    public static int PartRow(AllRows rows, int product, int parts, int part) => (product * parts + part) * rows._count;
}

/// <summary>Where a product's finished sums go, and what is done to them before.</summary>
/// <param name="BiasStart">The product's first bias.</param>
/// <param name="Step">From the start of one product's C to that of the next.</param>
internal readonly record struct ProductTarget<T, TElement>(ArrayView<T> C, ArrayView<T> Bias, int HasBias, int BiasStart, int Start, int Step, int Pitch, TElement Element)
    where T : unmanaged where TElement : struct, IGpuElement
{
    public static ProductTarget<T, TElement> Of(IlgpuBackend gpu, MatrixProduct product, TElement element)
    {
        var c = gpu.View<T>(product.C);
        return new(c, product.Bias is { } bias ? gpu.View<T>(bias) : c, product.Bias is null ? 0 : 1, 0, checked((int)product.Start), checked((int)product.Step), product.Pitch, element);
    }

    /// <summary>The target of another of the products, of n columns each.</summary>
    public static ProductTarget<T, TElement> At(ProductTarget<T, TElement> first, int product, int n) =>
        new(first.C, first.Bias, first.HasBias, product * n, first.Start + product * first.Step, first.Step, first.Pitch, first.Element);

    /// <summary>Stores an element that nothing is added to any more.</summary>
    /// <param name="row">Of C.</param>
    public void Store<TStorage>(int row, int column, float sum) where TStorage : struct, IStorage<T>
    {
        if (HasBias != 0) sum += TStorage.Load(Bias[BiasStart + column]);
        int place = Start + row * Pitch + column;
        C[place] = TStorage.Store(Element.Apply(sum, place));
    }
}

/// <summary>The second launch of a product whose k was cut into parts: adds the parts' sums of each element: [products, parts, m, n].</summary>
internal static class PartTotal
{
    /// <param name="Elements">Of one product's C.</param>
    internal readonly record struct Arguments<T, TElement>(ArrayView<float> PartialSums, int Parts, Divisor Elements, Divisor Columns, ProductTarget<T, TElement> Target)
        where T : unmanaged where TElement : struct, IGpuElement;

    public static Action Bind<T, TStorage, TElement>(IlgpuBackend gpu, int count, int m, int n, int parts, ArrayView<float> partialSums, ProductTarget<T, TElement> target)
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement =>
        gpu.ReduceParts<Total<T, TStorage, TElement>, float, Arguments<T, TElement>>(checked(count * m * n), parts, new(partialSums, parts, new(m * n), new(n), target));

    internal readonly struct Total<T, TStorage, TElement> : IGpuReduction<float, Arguments<T, TElement>>
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement
    {
        public static float Nothing => 0f;

        public static int Items(Arguments<T, TElement> a, int element) => a.Parts;

        public static float Load(Arguments<T, TElement> a, int element, int part) =>
            a.PartialSums[element + (Divisor.Quotient(element, a.Elements) * (a.Parts - 1) + part) * a.Elements.Value];

        public static float Combine(float x, float y) => x + y;

        public static void Store(Arguments<T, TElement> a, int element, float sum)
        {
            int product = Divisor.Quotient(element, a.Elements), inProduct = element - product * a.Elements.Value, row = Divisor.Quotient(inProduct, a.Columns);
            ProductTarget<T, TElement>.At(a.Target, product, a.Columns.Value).Store<TStorage>(row, inProduct - row * a.Columns.Value, sum);
        }
    }
}
