using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Where a product's finished sums go, and what is done to them before.</summary>
internal readonly record struct ProductTarget<T, TElement>(ArrayView<T> C, ArrayView<T> Bias, int HasBias, int Start, int Pitch, TElement Element)
    where T : unmanaged where TElement : struct, IGpuElement
{
    public static ProductTarget<T, TElement> Of(IlgpuBackend gpu, MatrixProduct product, TElement element)
    {
        var c = gpu.View<T>(product.C);
        return new(c, product.Bias is { } bias ? gpu.View<T>(bias) : c, product.Bias is null ? 0 : 1, checked((int)product.Start), product.Pitch, element);
    }

    /// <summary>Stores an element that nothing is added to any more.</summary>
    public void Store<TStorage>(int row, int column, float sum) where TStorage : struct, IStorage<T>
    {
        if (HasBias != 0) sum += TStorage.Load(Bias[column]);
        int place = Start + row * Pitch + column;
        C[place] = TStorage.Store(Element.Apply(sum, place));
    }
}

/// <summary>The second launch of a product whose k was cut into parts: adds the parts' sums of each element, in their order.</summary>
internal static class PartTotal
{
    internal readonly record struct Arguments<T, TElement>(ArrayView<float> PartialSums, int Parts, int M, int N, ProductTarget<T, TElement> Target)
        where T : unmanaged where TElement : struct, IGpuElement;

    public static void Run<T, TStorage, TElement>(Index1D i, Arguments<T, TElement> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TElement : struct, IGpuElement
    {
        float sum = 0f;
        for (int part = 0; part < a.Parts; part++) sum += a.PartialSums[part * a.M * a.N + i];
        int row = i / a.N;
        a.Target.Store<TStorage>(row, i - row * a.N, sum);
    }
}
