using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class InputColumns
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => y.Element == ElementType.Single ? Bind<float, SingleStorage>(gpu) : Bind<T, TStorage>(gpu);

    private Action Bind<T, TStorage>(IlgpuBackend gpu) where T : unmanaged where TStorage : struct, IStorage<T> =>
        gpu.For(y.Length, Run<T, TStorage>, new Arguments<T>(gpu.View<float>(rows), gpu.View<T>(y), Pitch, first, Count));

    internal readonly record struct Arguments<T>(ArrayView<float> Rows, ArrayView<T> Y, int Pitch, int First, int Count) where T : unmanaged;

    private static void Run<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int n = i / a.Count;
        a.Y[i] = TStorage.Store(a.Rows[n * a.Pitch + a.First + (i - n * a.Count)]);
    }
}
