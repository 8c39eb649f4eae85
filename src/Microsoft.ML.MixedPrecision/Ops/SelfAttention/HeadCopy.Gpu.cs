using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class HeadCopy
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var a = new Arguments<T>(gpu.Vectors<T>(joined), gpu.Vectors<T>(apart), Size, Length, heads, Batch, Parts * heads * Size, scale);
        return direction == Direction.Split
            ? gpu.ForChannels(apart, Split<T, TStorage, Vector8>, Split<T, TStorage, Vector1>, a)
            : gpu.ForChannels(apart, Join<T, TStorage, Vector8>, Join<T, TStorage, Vector1>, a);
    }

    internal readonly record struct Arguments<T>(ArrayView<T> Joined, ArrayView<T> Apart, int Size, int Length, int Heads, int Batch, int Pitch, float Scale) where T : unmanaged;

    private static void Split<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var place = Place.Of<T, TVector>(i, a);
        TVector.Store<T, TStorage>(a.Apart, place.Apart, TVector.Load<T, TStorage>(a.Joined, place.Joined) * place.Factor);
    }

    private static void Join<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var place = Place.Of<T, TVector>(i, a);
        TVector.Store<T, TStorage>(a.Joined, place.Joined, TVector.Load<T, TStorage>(a.Apart, place.Apart) * place.Factor);
    }

    /// <summary>Where some elements of a head lie on both sides.</summary>
    private readonly record struct Place(int Joined, int Apart, float Factor)
    {
        /// <param name="i">In the order of those apart.</param>
        public static Place Of<T, TVector>(int i, Arguments<T> a) where T : unmanaged where TVector : unmanaged, IGpuVector<TVector>
        {
            int across = a.Size >> TVector.Shift, row = i / across, c = (i - row * across) * TVector.Width;
            int block = row / a.Length, position = row - block * a.Length;
            int examples = block / a.Heads, head = block - examples * a.Heads;
            int part = examples / a.Batch, example = examples - part * a.Batch;
            return new((example * a.Length + position) * a.Pitch + (part * a.Heads + head) * a.Size + c, row * a.Size + c, part == 0 ? a.Scale : 1f);
        }
    }
}
