using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class LstmForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        int hidden = Hidden;
        T* arguments = cpu.Pointer<T>(gates), added = recurrent is null ? null : cpu.Pointer<T>(recurrent), to = cpu.Pointer<T>(state);
        float* c = cpu.Pointer<float>(cell), last = before is null ? null : cpu.Pointer<float>(before);
        return cpu.For(cell.Dimensions[0], grain: Math.Max(1, LstmCells.Grain / hidden), (start, end) =>
        {
            int pitch = FloatBuffer.Pitch(4 * hidden);
            float* buffer = FloatBuffer.Of(4 * pitch);
            for (long row = start; row < end; row++)
            {
                T* own = arguments + row * 4 * hidden, h = to + row * hidden;
                float* x = TStorage.AsFloats(own, buffer, 4 * hidden), r = added is null ? null : TStorage.AsFloats(added + row * 4 * hidden, buffer + pitch, 4 * hidden);
                float* g = TStorage.FloatsFor(own, buffer + 2 * pitch), y = TStorage.FloatsFor(h, buffer + 3 * pitch);
                LstmCells.Forward(x, r, last is null ? null : last + row * hidden, g, c + row * hidden, y, hidden);
                TStorage.Store(g, own, 4 * hidden);
                TStorage.Store(y, h, hidden);
            }
        });
    }
}

internal sealed unsafe partial class LstmBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        int hidden = Hidden;
        T* values = cpu.Pointer<T>(gates), to = cpu.Pointer<T>(dGates), behind = outside is null ? null : cpu.Pointer<T>(outside), next = later is null ? null : cpu.Pointer<T>(later);
        float* c = cpu.Pointer<float>(cell), last = before is null ? null : cpu.Pointer<float>(before), dc = cpu.Pointer<float>(carry);
        return cpu.For(cell.Dimensions[0], grain: Math.Max(1, LstmCells.Grain / hidden), (start, end) =>
        {
            int pitch = FloatBuffer.Pitch(4 * hidden);
            float* buffer = FloatBuffer.Of(4 * pitch);
            for (long row = start; row < end; row++)
            {
                T* target = to + row * 4 * hidden;
                float* g = TStorage.AsFloats(values + row * 4 * hidden, buffer, 4 * hidden), d = TStorage.FloatsFor(target, buffer + 3 * pitch);
                float* dy = behind is null ? null : TStorage.AsFloats(behind + row * hidden, buffer + pitch, hidden), dh = next is null ? null : TStorage.AsFloats(next + row * hidden, buffer + 2 * pitch, hidden);
                LstmCells.Backward(g, c + row * hidden, last is null ? null : last + row * hidden, dy, dh, dc + row * hidden, d, hidden);
                TStorage.Store(d, target, 4 * hidden);
            }
        });
    }
}

/// <summary>The cells of one example at one position, as floats. What is null is 0.</summary>
internal static unsafe class LstmCells
{
    /// <summary>Cells that make one more thread worth its hand-off: five exponentials each.</summary>
    public const int Grain = 1024;

    /// <param name="x">Arguments of the gates, [4, hidden].</param>
    /// <param name="r">Added to them; may be null.</param>
    /// <param name="before">Cells of the position before; null where there is none.</param>
    /// <param name="gates">[4, hidden]; may be x.</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Forward(float* x, float* r, float* before, float* gates, float* cell, float* state, int hidden)
    {
        for (int c = 0; c < hidden; c += CpuVector.Width)
        {
            int count = Math.Min(CpuVector.Width, hidden - c);
            var i = SigmoidFunction.Forward(Argument(x, r, c, count), 0f);
            var f = SigmoidFunction.Forward(Argument(x, r, hidden + c, count), 0f);
            var g = TanhFunction.Forward(Argument(x, r, 2 * hidden + c, count), 0f);
            var o = SigmoidFunction.Forward(Argument(x, r, 3 * hidden + c, count), 0f);
            var next = i * g;
            if (before is not null) next += f * Load(before + c, count);
            Store(i, gates + c, count);
            Store(f, gates + hidden + c, count);
            Store(g, gates + 2 * hidden + c, count);
            Store(o, gates + 3 * hidden + c, count);
            Store(next, cell + c, count);
            Store(o * TanhFunction.Forward(next, 0f), state + c, count);
        }
    }

    /// <param name="dy">Of the state, from the layers behind; may be null.</param>
    /// <param name="dh">Of the state, from the position behind; null at the last, where <paramref name="carry"/> is only written.</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Backward(float* gates, float* cell, float* before, float* dy, float* dh, float* carry, float* dGates, int hidden)
    {
        for (int c = 0; c < hidden; c += CpuVector.Width)
        {
            int count = Math.Min(CpuVector.Width, hidden - c);
            Vector512<float> i = Load(gates + c, count), f = Load(gates + hidden + c, count), g = Load(gates + 2 * hidden + c, count), o = Load(gates + 3 * hidden + c, count);
            Vector512<float> dState = default, d = default, tanh = TanhFunction.Forward(Load(cell + c, count), 0f);
            if (dy is not null) dState += Load(dy + c, count);
            if (dh is not null)
            {
                dState += Load(dh + c, count);
                d = Load(carry + c, count);
            }
            d += TanhFunction.Backward(tanh, dState * o, 0f);
            Store(SigmoidFunction.Backward(i, d * g, 0f), dGates + c, count);
            Store(before is null ? default : SigmoidFunction.Backward(f, d * Load(before + c, count), 0f), dGates + hidden + c, count);
            Store(TanhFunction.Backward(g, d * i, 0f), dGates + 2 * hidden + c, count);
            Store(SigmoidFunction.Backward(o, dState * tanh, 0f), dGates + 3 * hidden + c, count);
            Store(d * f, carry + c, count);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Argument(float* x, float* r, int place, int count) => r is null ? Load(x + place, count) : Load(x + place, count) + Load(r + place, count);

    /// <summary>Sixteen, of which the first <paramref name="count"/> mean anything: the others are neighbours.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Load(float* from, int count) => count == CpuVector.Width ? Vector512.Load(from) : CpuVector.Load<float, CpuSingleStorage>(from, count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector512<float> values, float* to, int count)
    {
        if (count == CpuVector.Width) values.Store(to);
        else CpuVector.Store<float, CpuSingleStorage>(values, to, count);
    }
}
