using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class PositionalEmbeddingForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var a = new Arguments<T>(gpu.Vectors<T>(x), gpu.Vectors<T>(p), gpu.Vectors<T>(y), (int)p.Length);
        return (a.Size & 7) == 0 ? gpu.For(y.Length >> 3, Run<T, TStorage, Vector8>, a) : gpu.For(y.Length, Run<T, TStorage, Vector1>, a);
    }

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<T> Embedding, ArrayView<T> Y, int Size) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int place = i * TVector.Width, inRow = place - place / a.Size * a.Size;
        TVector.Store<T, TStorage>(a.Y, place, TVector.Load<T, TStorage>(a.X, place) + TVector.Load<T, TStorage>(a.Embedding, inRow));
    }
}
