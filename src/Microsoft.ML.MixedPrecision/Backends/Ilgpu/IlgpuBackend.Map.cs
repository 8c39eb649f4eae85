using ILGPU;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class IlgpuBackend
{
    /// <summary>
    /// A tensor's elements for kernels that read and write <see cref="Vector8"/>. It starts at a multiple of 16 bytes, and the last
    /// vector may reach beyond its end: there is room up to the next multiple of 256 bytes, where nothing else lies.
    /// </summary>
    public ArrayView<T> Vectors<T>(Tensor tensor) where T : unmanaged
    {
        if (((tensor.ArenaOffset + tensor.Start * SizeOf(tensor.Element)) & 15) != 0)
            throw new ArgumentException($"{tensor}: expected a start at a multiple of 16 bytes for reading in vectors, got element {tensor.Start} of '{tensor.Owner.Name}'; read it by element.");
        return View<T>(tensor, (tensor.Length + 7) & ~7L);
    }

    /// <summary>
    /// An action that runs <paramref name="kernel"/> for each eight of <paramref name="count"/> elements, with the index of the eight; the last may be fewer.
    /// </summary>
    public Action ForVectors<TArguments>(long count, Action<Index1D, TArguments> kernel, TArguments arguments) where TArguments : struct =>
        For((count + 7) >> 3, kernel, arguments);

    /// <summary>
    /// An action that runs a kernel for each eight channels of each pixel (or row) of a tensor, or for each channel where they are no
    /// multiple of eight: the same kernel, over <see cref="Vector8"/> and over <see cref="Vector1"/>.
    /// </summary>
    public Action ForChannels<TArguments>(Tensor tensor, Action<Index1D, TArguments> eight, Action<Index1D, TArguments> one, TArguments arguments) where TArguments : struct =>
        (tensor.Dimensions[^1] & 7) == 0 ? For(tensor.Length >> 3, eight, arguments) : For(tensor.Length, one, arguments);

    /// <summary>
    /// An action that makes each element of one tensor from that at the same place of another, 16 bytes of halves at a time: to = map(from).
    /// What else a map reads, it reads through views from <see cref="Vectors"/>.
    /// </summary>
    public Action Map<TFrom, TFromStorage, TTo, TToStorage, TMap>(Tensor from, Tensor to, TMap map)
        where TFrom : unmanaged where TFromStorage : struct, IStorage<TFrom>
        where TTo : unmanaged where TToStorage : struct, IStorage<TTo>
        where TMap : struct, IGpuMap =>
        ForVectors(to.Length, Apply<TFrom, TFromStorage, TTo, TToStorage, TMap>, new MapArguments<TFrom, TTo, TMap>(Vectors<TFrom>(from), Vectors<TTo>(to), map));

    internal readonly record struct MapArguments<TFrom, TTo, TMap>(ArrayView<TFrom> From, ArrayView<TTo> To, TMap Map)
        where TFrom : unmanaged where TTo : unmanaged where TMap : struct, IGpuMap;

    private static void Apply<TFrom, TFromStorage, TTo, TToStorage, TMap>(Index1D eight, MapArguments<TFrom, TTo, TMap> a)
        where TFrom : unmanaged where TFromStorage : struct, IStorage<TFrom>
        where TTo : unmanaged where TToStorage : struct, IStorage<TTo>
        where TMap : struct, IGpuMap
    {
        int place = eight << 3;
        Vector8.Store<TTo, TToStorage>(a.To, place, a.Map.Apply(Vector8.Load<TFrom, TFromStorage>(a.From, place), place));
    }
}
