using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class LstmForward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var a = new Arguments<T>(gpu.Vectors<T>(gates), gpu.Vectors<T>(recurrent ?? gates), gpu.Vectors<T>(states), gpu.Vectors<float>(cells), Hidden, position * Batch, recurrent is null ? 0 : Batch);
        return (Hidden & 7) == 0
            ? gpu.For((long)Batch * Hidden >> 3, Run<T, TStorage, Vector8>, a)
            : gpu.For((long)Batch * Hidden, Run<T, TStorage, Vector1>, a);
    }

    /// <param name="FirstRow">Of the position, among those of all.</param>
    /// <param name="RowsBack">To the position before; 0 where there is none.</param>
    internal readonly record struct Arguments<T>(ArrayView<T> Gates, ArrayView<T> Recurrent, ArrayView<T> States, ArrayView<float> Cells, int Hidden, int FirstRow, int RowsBack) where T : unmanaged;

    /// <summary>One thread for some cells of an example.</summary>
    private static void Run<T, TStorage, TVector>(Index1D index, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Hidden >> TVector.Shift, example = index / across, c = (index - example * across) * TVector.Width;
        int row = a.FirstRow + example, gate = row * 4 * a.Hidden + c, cell = row * a.Hidden + c, added = example * 4 * a.Hidden + c;
        TVector i = TVector.Load<T, TStorage>(a.Gates, gate), f = TVector.Load<T, TStorage>(a.Gates, gate + a.Hidden);
        TVector g = TVector.Load<T, TStorage>(a.Gates, gate + 2 * a.Hidden), o = TVector.Load<T, TStorage>(a.Gates, gate + 3 * a.Hidden);
        var before = TVector.All(0f);
        if (a.RowsBack > 0)
        {
            i += TVector.Load<T, TStorage>(a.Recurrent, added);
            f += TVector.Load<T, TStorage>(a.Recurrent, added + a.Hidden);
            g += TVector.Load<T, TStorage>(a.Recurrent, added + 2 * a.Hidden);
            o += TVector.Load<T, TStorage>(a.Recurrent, added + 3 * a.Hidden);
            before = TVector.Load<float, SingleStorage>(a.Cells, cell - a.RowsBack * a.Hidden);
        }
        (i, f, g, o) = (TVector.Map(new SigmoidOf(), i, i), TVector.Map(new SigmoidOf(), f, f), TVector.Map(new TanhOf(), g, g), TVector.Map(new SigmoidOf(), o, o));
        TVector.Store<T, TStorage>(a.Gates, gate, i);
        TVector.Store<T, TStorage>(a.Gates, gate + a.Hidden, f);
        TVector.Store<T, TStorage>(a.Gates, gate + 2 * a.Hidden, g);
        TVector.Store<T, TStorage>(a.Gates, gate + 3 * a.Hidden, o);
        var next = f * before + i * g;
        TVector.Store<float, SingleStorage>(a.Cells, cell, next);
        TVector.Store<T, TStorage>(a.States, cell, o * TVector.Map(new TanhOf(), next, next));
    }
}

internal sealed partial class LstmBackward
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var views = new Arguments<T>(
            gpu.Vectors<T>(gates), gpu.Vectors<float>(cells), gpu.View<T>(outside ?? dGates), gpu.View<T>(state ?? dGates), gpu.Vectors<float>(dCells), gpu.Vectors<T>(dGates),
            outside is null ? 0 : 1, state is null ? 0 : 1, Hidden, position * Batch, position == 0 ? 0 : Batch);
        return (Hidden & 7) == 0
            ? gpu.For((long)Batch * Hidden >> 3, Run<T, TStorage, Vector8>, views with { Outside = gpu.Vectors<T>(outside ?? dGates), State = gpu.Vectors<T>(state ?? dGates) })
            : gpu.For((long)Batch * Hidden, Run<T, TStorage, Vector1>, views);
    }

    /// <param name="FirstRow">Of the position, among those of all.</param>
    /// <param name="RowsBack">To the position before; 0 where there is none.</param>
    internal readonly record struct Arguments<T>(
        ArrayView<T> Gates, ArrayView<float> Cells, ArrayView<T> Outside, ArrayView<T> State, ArrayView<float> CellsGradient, ArrayView<T> GatesGradient,
        int HasOutside, int HasState, int Hidden, int FirstRow, int RowsBack) where T : unmanaged;

    /// <summary>One thread for some cells of an example.</summary>
    private static void Run<T, TStorage, TVector>(Index1D index, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> where TVector : unmanaged, IGpuVector<TVector>
    {
        int across = a.Hidden >> TVector.Shift, example = index / across, c = (index - example * across) * TVector.Width;
        int row = a.FirstRow + example, gate = row * 4 * a.Hidden + c, cell = row * a.Hidden + c, own = example * a.Hidden + c;
        TVector dState = TVector.All(0f), d = TVector.All(0f), before = TVector.All(0f);
        if (a.HasOutside != 0) dState += TVector.Load<T, TStorage>(a.Outside, own);
        if (a.HasState != 0)
        {
            dState += TVector.Load<T, TStorage>(a.State, own);
            d = TVector.Load<float, SingleStorage>(a.CellsGradient, own);
        }
        if (a.RowsBack > 0) before = TVector.Load<float, SingleStorage>(a.Cells, cell - a.RowsBack * a.Hidden);
        TVector i = TVector.Load<T, TStorage>(a.Gates, gate), f = TVector.Load<T, TStorage>(a.Gates, gate + a.Hidden);
        TVector g = TVector.Load<T, TStorage>(a.Gates, gate + 2 * a.Hidden), o = TVector.Load<T, TStorage>(a.Gates, gate + 3 * a.Hidden);
        var content = TVector.Load<float, SingleStorage>(a.Cells, cell);
        var tanh = TVector.Map(new TanhOf(), content, content);
        d += TVector.Map(new TanhGradient(), tanh, dState * o);
        TVector.Store<T, TStorage>(a.GatesGradient, gate, TVector.Map(new SigmoidGradient(), i, d * g));
        TVector.Store<T, TStorage>(a.GatesGradient, gate + a.Hidden, TVector.Map(new SigmoidGradient(), f, d * before));
        TVector.Store<T, TStorage>(a.GatesGradient, gate + 2 * a.Hidden, TVector.Map(new TanhGradient(), g, d * i));
        TVector.Store<T, TStorage>(a.GatesGradient, gate + 3 * a.Hidden, TVector.Map(new SigmoidGradient(), o, dState * tanh));
        TVector.Store<float, SingleStorage>(a.CellsGradient, own, d * f);
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
