using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class DropoutMask
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For((to.Length + 3) / 4, Run<T, TStorage>, new Arguments<T>(
        gpu.View<T>(from), gpu.View<T>(to), gpu.View<int>(counters), (int)to.Length, Threshold, Scale, seed, (uint)layer));

    internal readonly record struct Arguments<T>(
        ArrayView<T> From, ArrayView<T> To, ArrayView<int> Counters, int Length, uint Threshold, float Scale, uint Seed, uint Layer) where T : unmanaged;

    /// <summary>One thread for each four elements: the words of one counter.</summary>
    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        var random = CounterRandom.Philox((uint)(int)i, (uint)a.Counters[StepControl.MicroSteps], a.Seed, a.Layer);
        int at = i * 4;
        Mask<T, TStorage>(at, random.W0, a);
        Mask<T, TStorage>(at + 1, random.W1, a);
        Mask<T, TStorage>(at + 2, random.W2, a);
        Mask<T, TStorage>(at + 3, random.W3, a);
    }

    private static void Mask<T, TStorage>(int at, uint word, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        if (at >= a.Length) return;
        a.To[at] = TStorage.Store(word >> 8 >= a.Threshold ? TStorage.Load(a.From[at]) * a.Scale : 0f);
    }
}
