namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class StepAdvance
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        float* scales = cpu.Pointer<float>(control.Scales), log = cpu.Pointer<float>(control.Log);
        int* counters = cpu.Pointer<int>(control.Counters);
        var rule = _rule;
        return () =>
        {
            float scale = scales[StepControl.Scale];
            bool overflow = counters[StepControl.Overflow] != 0;
            int slot = counters[StepControl.LogSlot];
            log[slot * StepControl.LogWidth + StepControl.LogKind] = overflow ? StepControl.SkippedUpdate : StepControl.AppliedUpdate;
            counters[StepControl.LogSlot] = StepControl.After(slot);
            counters[StepControl.Accumulated] = 0;
            if (overflow)
            {
                counters[StepControl.Skipped]++;
                counters[StepControl.CleanSteps] = 0;
                if (scale <= rule.Floor) counters[StepControl.FloorOverflows]++;
                scales[StepControl.Scale] = Math.Max(rule.Floor, scale * rule.BackoffFactor);
                return;
            }
            counters[StepControl.Applied]++;
            if (++counters[StepControl.CleanSteps] < rule.GrowthInterval) return;
            counters[StepControl.CleanSteps] = 0;
            float grown = scale * rule.GrowthFactor;
            if (float.IsFinite(grown)) scales[StepControl.Scale] = grown;
        };
    }
}
