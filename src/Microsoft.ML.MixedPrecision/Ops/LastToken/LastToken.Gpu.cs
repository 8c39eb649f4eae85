using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class LastTokenForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForChannels(y, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>,
        new Arguments<T>(gpu.Vectors<T>(x), gpu.View<float>(tokens), gpu.Vectors<T>(y), gpu.View<int>(last), Length, Features));

    internal readonly record struct Arguments<T>(ArrayView<T> X, ArrayView<float> Tokens, ArrayView<T> Y, ArrayView<int> Last, int Length, int Features) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Features >> TVector.Shift, n = i / across, c = (i - n * across) * TVector.Width, last = -1;
        for (int l = 0; l < a.Length; l++)
            if (a.Tokens[n * a.Length + l] != 0f) last = l;
        var value = TVector.All(0f);
        if (last >= 0) value = TVector.Load<T, TStorage>(a.X, (n * a.Length + last) * a.Features + c);
        TVector.Store<T, TStorage>(a.Y, n * a.Features + c, value);
        if (c == 0) a.Last[n] = last;
    }
}

internal sealed partial class LastTokenBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForChannels(dx, Run<T, TStorage, Vector8>, Run<T, TStorage, Vector1>,
        new Arguments<T>(gpu.Vectors<T>(dy), gpu.View<int>(last), gpu.Vectors<T>(dx), Length, Features));

    internal readonly record struct Arguments<T>(ArrayView<T> OutputGradient, ArrayView<int> Last, ArrayView<T> InputGradient, int Length, int Features) where T : unmanaged;

    private static void Run<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Features >> TVector.Shift, position = i / across, c = (i - position * across) * TVector.Width, n = position / a.Length;
        var value = TVector.All(0f);
        if (position - n * a.Length == a.Last[n]) value = TVector.Load<T, TStorage>(a.OutputGradient, n * a.Features + c);
        TVector.Store<T, TStorage>(a.InputGradient, position * a.Features + c, value);
    }
}
