namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class StepVerdict
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        float* squares = cpu.Pointer<float>(scan.SquareSums), scales = cpu.Pointer<float>(control.Scales);
        int* bad = cpu.Pointer<int>(scan.FirstBad), counters = cpu.Pointer<int>(control.Counters);
        int parts = scan.Parts, microSteps = MicroSteps;
        float clip = ClipNorm;
        return () =>
        {
            double sum = 0;
            int first = GradientScan.AllFinite;
            for (int i = 0; i < parts; i++)
            {
                sum += squares[i];
                first = Math.Min(first, bad[i]);
            }
            bool overflow = first != GradientScan.AllFinite;
            counters[StepControl.Overflow] = overflow ? 1 : 0;
            if (overflow) counters[StepControl.FirstBad] = first;
            float unscale = 1f / scales[StepControl.Scale] * Missing(counters[StepControl.Accumulated], microSteps), norm = (float)Math.Sqrt(sum) * unscale;
            scales[StepControl.GradientNorm] = norm;
            scales[StepControl.GradientMultiplier] = norm > clip ? unscale * (clip / (norm + 1e-6f)) : unscale;
        };
    }
}
