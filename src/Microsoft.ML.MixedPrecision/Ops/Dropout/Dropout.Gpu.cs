using ILGPU;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class DropoutMask
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.ForVectors(to.Length, Run<T, TStorage>, new Arguments<T>(
        gpu.Vectors<T>(from), gpu.Vectors<T>(to), gpu.View<int>(counters), new(Threshold, Scale), seed, (uint)layer));

    internal readonly record struct Arguments<T>(ArrayView<T> From, ArrayView<T> To, ArrayView<int> Counters, Mask Mask, uint Seed, uint Layer) where T : unmanaged;

    /// <summary>Eight elements: the words of two counters.</summary>
    private static void Run<T, TStorage>(Index1D eight, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        uint pass = (uint)a.Counters[StepControl.MicroSteps], counter = (uint)(int)eight * 2;
        var (low, high) = (CounterRandom.Philox(counter, pass, a.Seed, a.Layer), CounterRandom.Philox(counter + 1, pass, a.Seed, a.Layer));
        var (x, mask) = (TStorage.Load8(a.From, eight * 8), a.Mask);
        TStorage.Store8(a.To, eight * 8, new(
            mask.Of(x.E0, low.W0), mask.Of(x.E1, low.W1), mask.Of(x.E2, low.W2), mask.Of(x.E3, low.W3),
            mask.Of(x.E4, high.W0), mask.Of(x.E5, high.W1), mask.Of(x.E6, high.W2), mask.Of(x.E7, high.W3)));
    }

    internal readonly record struct Mask(uint Threshold, float Scale)
    {
        public float Of(float x, uint word) => word >> 8 >= Threshold ? x * Scale : 0f;
    }
}
