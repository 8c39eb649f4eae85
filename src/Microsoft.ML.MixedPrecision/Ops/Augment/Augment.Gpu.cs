using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ImageMove
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var a = new Arguments<T>(gpu.Vectors<T>(from), gpu.Vectors<T>(to), gpu.View<int>(counters), draw, Height, Width, Channels);
        return backward ? gpu.ForChannels(to, Backward<T, TStorage, Vector8>, Backward<T, TStorage, Vector1>, a) : gpu.ForChannels(to, Forward<T, TStorage, Vector8>, Forward<T, TStorage, Vector1>, a);
    }

    internal readonly record struct Arguments<T>(ArrayView<T> From, ArrayView<T> To, ArrayView<int> Counters, MoveDraw Draw, int Height, int Width, int Channels) where T : unmanaged;

    private static void Forward<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> => Copy<T, TStorage, TVector>(i, a, backward: false);

    private static void Backward<T, TStorage, TVector>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector> => Copy<T, TStorage, TVector>(i, a, backward: true);

    private static void Copy<T, TStorage, TVector>(int i, Arguments<T> a, bool backward) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Channels >> TVector.Shift, pixel = i / across, c = (i - pixel * across) * TVector.Width;
        int line = pixel / a.Width, w = pixel - line * a.Width, image = line / a.Height;
        var move = MoveDraw.Of(a.Draw, image, (uint)a.Counters[StepControl.MicroSteps]);
        int row = Move.Row(move, line - image * a.Height, backward), column = Move.Column(move, w, a.Width, backward);
        var value = TVector.All(0f);
        if ((uint)row < (uint)a.Height && (uint)column < (uint)a.Width) value = TVector.Load<T, TStorage>(a.From, ((image * a.Height + row) * a.Width + column) * a.Channels + c);
        TVector.Store<T, TStorage>(a.To, i * TVector.Width, value);
    }
}
