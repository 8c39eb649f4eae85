using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class StepVerdict
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(1, Decide, new Arguments(
        gpu.View<float>(scan.SquareSums), gpu.View<int>(scan.FirstBad), gpu.View<float>(control.Scales), gpu.View<int>(control.Counters),
        scan.Parts, ClipNorm));

    internal readonly record struct Arguments(
        ArrayView<float> SquareSums, ArrayView<int> FirstBad, ArrayView<float> Scales, ArrayView<int> Counters, int Parts, float Clip);

    private static void Decide(Index1D _, Arguments a)
    {
        float sum = 0f;
        int first = GradientScan.AllFinite;
        for (int i = 0; i < a.Parts; i++)
        {
            sum += a.SquareSums[i];
            first = Math.Min(first, a.FirstBad[i]);
        }
        bool overflow = first != GradientScan.AllFinite;
        a.Counters[StepControl.Overflow] = overflow ? 1 : 0;
        if (overflow) a.Counters[StepControl.FirstBad] = first;
        float unscale = 1f / a.Scales[StepControl.Scale], norm = MathF.Sqrt(sum) * unscale;
        a.Scales[StepControl.GradientNorm] = norm;
        a.Scales[StepControl.GradientMultiplier] = norm > a.Clip ? unscale * (a.Clip / (norm + 1e-6f)) : unscale;
    }
}
