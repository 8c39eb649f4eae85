using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class AxisSwap
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var a = new Arguments<T>(gpu.Vectors<T>(together), gpu.Vectors<T>(apart), Size, Lines, blocks, Outer, Parts * blocks * Size, scale);
        return direction == Direction.Split
            ? gpu.ForChannels(apart, Split<T, TStorage, Vector8>, Split<T, TStorage, Vector1>, a)
            : gpu.ForChannels(apart, Join<T, TStorage, Vector8>, Join<T, TStorage, Vector1>, a);
    }

    internal readonly record struct Arguments<T>(ArrayView<T> Together, ArrayView<T> Apart, int Size, int Lines, int Blocks, int Outer, int Pitch, float Scale) where T : unmanaged;

    private static void Split<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var place = Place.Of<T, TVector>(i, a);
        TVector.Store<T, TStorage>(a.Apart, place.Apart, TVector.Load<T, TStorage>(a.Together, place.Together) * place.Factor);
    }

    private static void Join<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        var place = Place.Of<T, TVector>(i, a);
        TVector.Store<T, TStorage>(a.Together, place.Together, TVector.Load<T, TStorage>(a.Apart, place.Apart) * place.Factor);
    }

    /// <summary>Where some elements of a block lie on both sides.</summary>
    private readonly record struct Place(int Together, int Apart, float Factor)
    {
        /// <param name="i">In the order of those apart.</param>
        public static Place Of<T, TVector>(int i, Arguments<T> a) where T : unmanaged where TVector : unmanaged, IGpuVector<TVector>
        {
            int across = a.Size >> TVector.Shift, row = i / across, c = (i - row * across) * TVector.Width;
            int block = row / a.Lines, line = row - block * a.Lines;
            int outers = block / a.Blocks, b = block - outers * a.Blocks;
            int part = outers / a.Outer, o = outers - part * a.Outer;
            return new((o * a.Lines + line) * a.Pitch + (part * a.Blocks + b) * a.Size + c, row * a.Size + c, part == 0 ? a.Scale : 1f);
        }
    }
}
