using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class StepAdvance
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(1, Advance, new Arguments(
        gpu.View<float>(control.Scales), gpu.View<int>(control.Counters), gpu.View<float>(control.Log), _rule.GrowthFactor, _rule.BackoffFactor, _rule.Floor, _rule.GrowthInterval));

    internal readonly record struct Arguments(
        ArrayView<float> Scales, ArrayView<int> Counters, ArrayView<float> Log, float GrowthFactor, float BackoffFactor, float Floor, int GrowthInterval);

    private static void Advance(Index1D _, Arguments a)
    {
        float scale = a.Scales[StepControl.Scale];
        bool overflow = a.Counters[StepControl.Overflow] != 0;
        int slot = a.Counters[StepControl.LogSlot];
        a.Log[slot * StepControl.LogWidth + StepControl.LogKind] = overflow ? StepControl.SkippedUpdate : StepControl.AppliedUpdate;
        a.Counters[StepControl.LogSlot] = StepControl.After(slot);
        a.Counters[StepControl.Accumulated] = 0;
        if (overflow)
        {
            a.Counters[StepControl.Skipped] += 1;
            a.Counters[StepControl.CleanSteps] = 0;
            if (scale <= a.Floor) a.Counters[StepControl.FloorOverflows] += 1;
            float less = scale * a.BackoffFactor;
            a.Scales[StepControl.Scale] = less < a.Floor ? a.Floor : less;
            return;
        }
        a.Counters[StepControl.Applied] += 1;
        int clean = a.Counters[StepControl.CleanSteps] + 1;
        float grown = scale * a.GrowthFactor;
        bool grow = clean >= a.GrowthInterval;
        a.Counters[StepControl.CleanSteps] = grow ? 0 : clean;
        if (grow && grown - grown == 0f) a.Scales[StepControl.Scale] = grown; // infinity minus itself is NaN
    }
}
