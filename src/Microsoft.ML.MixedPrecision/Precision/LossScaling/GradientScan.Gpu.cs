using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class GradientScan
{

    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gradients.Element == ElementType.Single
        ? Bind<float, SingleStorage>(gpu)
        : Bind<T, TStorage>(gpu);

    private Action Bind<T, TStorage>(IlgpuBackend gpu) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        var arguments = new Arguments<T>(gpu.View<T>(gradients), gpu.View<float>(SquareSums), gpu.View<int>(FirstBad), (int)gradients.Length);
        return gpu.For(Parts, Scan<T, TStorage>, arguments);
    }

    internal readonly record struct Arguments<T>(ArrayView<T> Gradients, ArrayView<float> SquareSums, ArrayView<int> FirstBad, int Length) where T : unmanaged;

    private static void Scan<T, TStorage>(Index1D part, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int start = part * PartLength, end = Math.Min(a.Length, start + PartLength);
        float sum = 0f;
        int bad = AllFinite;
        for (int i = start; i < end; i++)
        {
            float g = TStorage.Load(a.Gradients[i]);
            sum += g * g;
            // Not finite: g - g is NaN for infinities and NaN, 0 for all else.
            if (bad == AllFinite && !(g - g == 0f)) bad = i;
        }
        a.SquareSums[part] = sum;
        a.FirstBad[part] = bad;
    }
}
