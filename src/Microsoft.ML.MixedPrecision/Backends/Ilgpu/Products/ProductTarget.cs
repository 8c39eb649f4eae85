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

/// <summary>The second launch of a product whose k was cut into parts: adds the parts' sums of each element, in their order: [products, parts, m, n].</summary>
internal static class PartTotal
{
    internal readonly record struct Arguments<T, TElement>(ArrayView<float> PartialSums, int Parts, int M, int N, ProductTarget<T, TElement> Target)
        where T : unmanaged where TElement : struct, IGpuElement;

    public static void Run<T, TStorage, TElement>(Index1D i, Arguments<T, TElement> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement
    {
        int elements = a.M * a.N, product = i / elements, element = i - product * elements, row = element / a.N;
        float sum = 0f;
        for (int part = 0; part < a.Parts; part++) sum += a.PartialSums[(product * a.Parts + part) * elements + element];
        ProductTarget<T, TElement>.At(a.Target, product, a.N).Store<TStorage>(row, element - row * a.N, sum);
    }
}
