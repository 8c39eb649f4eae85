using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Counts a training pass, on one thread, before anything of it runs: forward and backward then draw the same random numbers.</summary>
internal sealed unsafe class PassStart(StepControl control) : Kernel
{
    public override string Name => "PassStart";
    public override IReadOnlyList<Tensor> Reads { get; } = [control.Counters];
    public override IReadOnlyList<Tensor> Writes { get; } = [control.Counters];

    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        int* counters = cpu.Pointer<int>(control.Counters);
        return () =>
        {
            counters[StepControl.MicroSteps]++;
            counters[StepControl.Accumulated]++;
        };
    }

    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(1, Count, gpu.View<int>(control.Counters));

    private static void Count(Index1D _, ArrayView<int> counters)
    {
        counters[StepControl.MicroSteps] += 1;
        counters[StepControl.Accumulated] += 1;
    }
}
