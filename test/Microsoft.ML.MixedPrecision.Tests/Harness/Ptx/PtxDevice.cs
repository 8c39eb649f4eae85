using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// A device with the simulator's memory, whose kernels are compiled for CUDA and run in <see cref="PtxMachine"/>: whatever binds to a
/// GPU is checked as a GPU would see it.
/// </summary>
internal sealed class PtxDevice : IlgpuDevice
{
    private const int ThreadsPerGroup = 128; // of kernels that ILGPU groups

    private readonly CudaArchitecture _architecture;

    private readonly Func<string, string> _edit;

    /// <param name="edit">What is done to the PTX of kernels that group themselves before it runs: what the library does for a GPU that ILGPU does not know, or to plant a fault.</param>
    public PtxDevice(CudaArchitecture architecture, Func<string, string>? edit = null) : base(Simulator.Accelerator, Simulator.Accelerator, new(() => Simulator.Accelerator), $"PTX interpreter ({architecture})") =>
        (_architecture, _edit) = (architecture, edit ?? (ptx => ptx));

    public static PtxDevice Ampere { get; } = new(CudaArchitecture.SM_80);

    /// <summary>Has tensor cores, but no asynchronous copies.</summary>
    public static PtxDevice Turing { get; } = new(CudaArchitecture.SM_75);

    /// <summary>Has warp groups.</summary>
    public static PtxDevice Hopper { get; } = new(CudaArchitecture.SM_90);

    /// <summary>Told after each launch which bytes it touched.</summary>
    public Action<PtxGlobalRaces>? Launched { get; init; }

    public override bool HasTensorCores => true;

    public override bool HasWarpGroups => _architecture == CudaArchitecture.SM_90;

    public override int MostThreads => 1024;

    /// <summary>The PTX of a kernel that groups itself, as this device runs it.</summary>
    public string Compile(BoundKernel kernel) => _edit(PtxCheck.Compile(kernel, _architecture));

    public override Action<AcceleratorStream, Index1D, TArguments> Load<TArguments>(Action<Index1D, TArguments> kernel)
    {
        string ptx = PtxCheck.Compile(new BoundKernel(kernel.Method, Grouped: false), _architecture);
        return (_, extent, arguments) => Run(ptx, new((extent.Size + ThreadsPerGroup - 1) / ThreadsPerGroup, 1, 1), new(ThreadsPerGroup, 1, 1), 0, extent.X, arguments);
    }

    public override Action<AcceleratorStream, KernelConfig, TArguments> Load<TArguments>(Action<TArguments> kernel, int threads, KernelSpecialization limits, int sharedBytes)
    {
        string ptx = Compile(new BoundKernel(kernel.Method, Grouped: true, limits));
        return (_, config, arguments) => Run(ptx, config.GridDim, config.GroupDim, config.SharedMemoryConfig.ArraySize, arguments);
    }

    private void Run(string ptx, Index3D grid, Index3D block, int dynamicShared, params IReadOnlyList<object> arguments)
    {
        var memory = new PtxMemory();
        PtxMachine.Run(memory, ptx, null, grid, block, dynamicShared, arguments);
        Launched?.Invoke(memory.Races);
    }
}
