using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ScoreMask
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var a = new Arguments<T>(gpu.Vectors<float>(tokens), gpu.Vectors<T>(scores), Length, heads);
        return (Length & 7) == 0 ? gpu.For(scores.Length >> 3, Run<T, TStorage, Vector8>, a) : gpu.For(scores.Length, Run<T, TStorage, Vector1>, a);
    }

    internal readonly record struct Arguments<T>(ArrayView<float> Tokens, ArrayView<T> Scores, int Length, int Heads) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Length >> TVector.Shift, row = i / across, key = (i - row * across) * TVector.Width, example = row / (a.Length * a.Heads);
        var masked = TVector.Map(new WhereToken(), TVector.Load<T, TStorage>(a.Scores, i * TVector.Width), TVector.Load<float, SingleStorage>(a.Tokens, example * a.Length + key));
        TVector.Store<T, TStorage>(a.Scores, i * TVector.Width, masked);
    }

    private readonly struct WhereToken : IGpuFunction
    {
        public float Apply(float x, float y) => y == 0f ? Least : x;
    }
}
