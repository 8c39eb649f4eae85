using ILGPU;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class StepVerdict
{
    // FP32 in a tree: the sum of squares errs by at most parts / 64 + 6 roundings, the norm by half of that: 3e-6 of it for 100 million
    // parameters. The CPU sums in FP64.
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.Reduce<Decide, Found, Arguments>(1, new Arguments(
        gpu.View<float>(scan.SquareSums), gpu.View<int>(scan.FirstBad), gpu.View<float>(control.Scales), gpu.View<int>(control.Counters),
        scan.Parts, ClipNorm, MicroSteps));

    internal readonly record struct Arguments(
        ArrayView<float> SquareSums, ArrayView<int> FirstBad, ArrayView<float> Scales, ArrayView<int> Counters, int Parts, float Clip, int MicroSteps);

    internal readonly record struct Found(float SquareSum, int FirstBad);

    internal readonly struct Decide : IGpuReduction<Found, Arguments>
    {
        public static Found Nothing => new(0f, GradientScan.AllFinite);
        public static int Items(Arguments a, int segment) => a.Parts;
        public static Found Load(Arguments a, int segment, int part) => new(a.SquareSums[part], a.FirstBad[part]);
        public static Found Combine(Found x, Found y) => new(x.SquareSum + y.SquareSum, Math.Min(x.FirstBad, y.FirstBad));

        public static void Store(Arguments a, int segment, Found total)
        {
            bool overflow = total.FirstBad != GradientScan.AllFinite;
            a.Counters[StepControl.Overflow] = overflow ? 1 : 0;
            if (overflow) a.Counters[StepControl.FirstBad] = total.FirstBad;
            float unscale = 1f / a.Scales[StepControl.Scale] * Missing(a.Counters[StepControl.Accumulated], a.MicroSteps);
            float norm = MathF.Sqrt(total.SquareSum) * unscale;
            a.Scales[StepControl.GradientNorm] = norm;
            a.Scales[StepControl.GradientMultiplier] = norm > a.Clip ? unscale * (a.Clip / (norm + 1e-6f)) : unscale;
        }
    }
}
