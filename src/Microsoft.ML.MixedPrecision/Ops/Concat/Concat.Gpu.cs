using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ColumnCopy
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var a = new Arguments<T>(gpu.Vectors<T>(from), gpu.Vectors<T>(to), from.Dimensions[^1], to.Dimensions[^1], fromColumn, toColumn, count);
        return ((a.FromPitch | a.ToPitch | fromColumn | toColumn | count) & 7) == 0
            ? gpu.For(Rows * count >> 3, Run<T, TStorage, Vector8>, a)
            : gpu.For(Rows * count, Run<T, TStorage, Vector1>, a);
    }

    internal readonly record struct Arguments<T>(ArrayView<T> From, ArrayView<T> To, int FromPitch, int ToPitch, int FromColumn, int ToColumn, int Count) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Count >> TVector.Shift, row = i / across, c = (i - row * across) * TVector.Width;
        TVector.Store<T, TStorage>(a.To, row * a.ToPitch + a.ToColumn + c, TVector.Load<T, TStorage>(a.From, row * a.FromPitch + a.FromColumn + c));
    }
}
