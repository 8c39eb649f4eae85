using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class TokenMeanForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForChannels(y, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>,
        new Arguments<T>(gpu.Vectors<T>(x), gpu.View<float>(tokens), gpu.Vectors<T>(y), gpu.View<float>(shares), Length, Features));

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<float> Tokens, ArrayView<T> Y, ArrayView<float> Shares, int Length, int Features) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Features >> TVector.Shift, n = i / across, c = (i - n * across) * TVector.Width;
        var sum = TVector.All(0f);
        float count = 0f;
        for (int position = n * a.Length, end = position + a.Length; position < end; position++)
        {
            if (a.Tokens[position] == 0f) continue;
            sum += TVector.Load<T, TStorage>(a.X, position * a.Features + c);
            count += 1f;
        }
        float share = 0f;
        if (count > 0f) share = 1f / count;
        TVector.Store<T, TStorage>(a.Y, n * a.Features + c, sum * share);
        if (c == 0) a.Shares[n] = share;
    }
}

internal sealed partial class TokenMeanBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForChannels(dx, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>,
        new Arguments<T>(gpu.Vectors<T>(dy), gpu.View<float>(tokens), gpu.View<float>(shares), gpu.Vectors<T>(dx), Length, Features));

    internal readonly record struct Arguments<T>(ArrayView<T> OutputGradient, ArrayView<float> Tokens, ArrayView<float> Shares, ArrayView<T> InputGradient, int Length, int Features) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Features >> TVector.Shift, position = i / across, c = (i - position * across) * TVector.Width, n = position / a.Length;
        float share = 0f;
        if (a.Tokens[position] != 0f) share = a.Shares[n];
        TVector.Store<T, TStorage>(a.InputGradient, position * a.Features + c, TVector.Load<T, TStorage>(a.OutputGradient, n * a.Features + c) * share);
    }
}
