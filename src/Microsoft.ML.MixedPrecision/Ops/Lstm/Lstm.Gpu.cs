using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class LstmForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => (Hidden & 7) == 0
        ? gpu.For(cell.Length >> 3, Run<T, TStorage, Vector8>, Give(gpu.Vectors<T>, gpu.Vectors<float>))
        : gpu.For(cell.Length, Run<T, TStorage, Vector1>, Give(gpu.View<T>, gpu.View<float>));

    private Arguments<T> Give<T>(Func<Tensor, ArrayView<T>> view, Func<Tensor, ArrayView<float>> single) where T : unmanaged =>
        new(view(gates), view(recurrent ?? gates), single(before ?? cell), single(cell), view(state), Hidden, before is null ? 0 : 1);

    internal readonly record struct Arguments<T>(ArrayView<T> Gates, ArrayView<T> Recurrent, ArrayView<float> Before, ArrayView<float> Cell, ArrayView<T> State, int Hidden, int HasBefore) where T : unmanaged;

    /// <summary>One thread for some cells of an example.</summary>
    private static void Run<T, TStorage, TVector>(Index1D index, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Hidden >> TVector.Shift, cell = index * TVector.Width, gate = cell + index / across * (3 * a.Hidden);
        TVector i = TVector.Load<T, TStorage>(a.Gates, gate), f = TVector.Load<T, TStorage>(a.Gates, gate + a.Hidden);
        TVector g = TVector.Load<T, TStorage>(a.Gates, gate + 2 * a.Hidden), o = TVector.Load<T, TStorage>(a.Gates, gate + 3 * a.Hidden);
        var before = TVector.All(0f);
        if (a.HasBefore != 0)
        {
            i += TVector.Load<T, TStorage>(a.Recurrent, gate);
            f += TVector.Load<T, TStorage>(a.Recurrent, gate + a.Hidden);
            g += TVector.Load<T, TStorage>(a.Recurrent, gate + 2 * a.Hidden);
            o += TVector.Load<T, TStorage>(a.Recurrent, gate + 3 * a.Hidden);
            before = TVector.Load<float, SingleStorage>(a.Before, cell);
        }
        (i, f, g, o) = (TVector.Map(new SigmoidOf(), i, i), TVector.Map(new SigmoidOf(), f, f), TVector.Map(new TanhOf(), g, g), TVector.Map(new SigmoidOf(), o, o));
        TVector.Store<T, TStorage>(a.Gates, gate, i);
        TVector.Store<T, TStorage>(a.Gates, gate + a.Hidden, f);
        TVector.Store<T, TStorage>(a.Gates, gate + 2 * a.Hidden, g);
        TVector.Store<T, TStorage>(a.Gates, gate + 3 * a.Hidden, o);
        var next = f * before + i * g;
        TVector.Store<float, SingleStorage>(a.Cell, cell, next);
        TVector.Store<T, TStorage>(a.State, cell, o * TVector.Map(new TanhOf(), next, next));
    }
}

internal sealed partial class LstmBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => (Hidden & 7) == 0
        ? gpu.For(cell.Length >> 3, Run<T, TStorage, Vector8>, Give(gpu.Vectors<T>, gpu.Vectors<float>))
        : gpu.For(cell.Length, Run<T, TStorage, Vector1>, Give(gpu.View<T>, gpu.View<float>));

    private Arguments<T> Give<T>(Func<Tensor, ArrayView<T>> view, Func<Tensor, ArrayView<float>> single) where T : unmanaged => new(
        view(gates), single(before ?? cell), single(cell), view(outside ?? dGates), view(later ?? dGates), single(carry), view(dGates),
        Hidden, before is null ? 0 : 1, outside is null ? 0 : 1, later is null ? 0 : 1);

    internal readonly record struct Arguments<T>(
        ArrayView<T> Gates, ArrayView<float> Before, ArrayView<float> Cell, ArrayView<T> Outside, ArrayView<T> Later, ArrayView<float> Carry, ArrayView<T> GatesGradient,
        int Hidden, int HasBefore, int HasOutside, int HasLater) where T : unmanaged;

    /// <summary>One thread for some cells of an example.</summary>
    private static void Run<T, TStorage, TVector>(Index1D index, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Hidden >> TVector.Shift, cell = index * TVector.Width, gate = cell + index / across * (3 * a.Hidden);
        TVector dState = TVector.All(0f), d = TVector.All(0f), before = TVector.All(0f);
        if (a.HasOutside != 0) dState += TVector.Load<T, TStorage>(a.Outside, cell);
        if (a.HasLater != 0)
        {
            dState += TVector.Load<T, TStorage>(a.Later, cell);
            d = TVector.Load<float, SingleStorage>(a.Carry, cell);
        }
        if (a.HasBefore != 0) before = TVector.Load<float, SingleStorage>(a.Before, cell);
        TVector i = TVector.Load<T, TStorage>(a.Gates, gate), f = TVector.Load<T, TStorage>(a.Gates, gate + a.Hidden);
        TVector g = TVector.Load<T, TStorage>(a.Gates, gate + 2 * a.Hidden), o = TVector.Load<T, TStorage>(a.Gates, gate + 3 * a.Hidden);
        var content = TVector.Load<float, SingleStorage>(a.Cell, cell);
        var tanh = TVector.Map(new TanhOf(), content, content);
        d += TVector.Map(new TanhGradient(), tanh, dState * o);
        TVector.Store<T, TStorage>(a.GatesGradient, gate, TVector.Map(new SigmoidGradient(), i, d * g));
        TVector.Store<T, TStorage>(a.GatesGradient, gate + a.Hidden, TVector.Map(new SigmoidGradient(), f, d * before));
        TVector.Store<T, TStorage>(a.GatesGradient, gate + 2 * a.Hidden, TVector.Map(new TanhGradient(), g, d * i));
        TVector.Store<T, TStorage>(a.GatesGradient, gate + 3 * a.Hidden, TVector.Map(new SigmoidGradient(), o, dState * tanh));
        TVector.Store<float, SingleStorage>(a.Carry, cell, d * f);
    }
}

internal readonly struct SigmoidOf : IGpuFunction
{
    public float Apply(float x, float y) => SigmoidFunction.Forward(x, 0f);
}

internal readonly struct TanhOf : IGpuFunction
{
    public float Apply(float x, float y) => TanhFunction.Forward(x, 0f);
}

/// <summary>Of the argument, from the value x and its gradient y.</summary>
internal readonly struct SigmoidGradient : IGpuFunction
{
    public float Apply(float x, float y) => SigmoidFunction.Backward(x, y, 0f);
}

/// <inheritdoc cref="SigmoidGradient"/>
internal readonly struct TanhGradient : IGpuFunction
{
    public float Apply(float x, float y) => TanhFunction.Backward(x, y, 0f);
}
