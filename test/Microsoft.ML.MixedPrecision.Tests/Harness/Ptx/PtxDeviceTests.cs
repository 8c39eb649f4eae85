using System.Text.RegularExpressions;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using Group = ILGPU.Group;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The device that runs PTX: what a launch asks of it reaches the interpreter.</summary>
[TestClass]
public sealed partial class PtxDeviceTests
{
    private const int Threads = 256, Length = 64 * 1024 / sizeof(int);

    [TestMethod]
    public void Shared_memory_of_a_launch_may_exceed_48_KB_on_Hopper()
    {
        var hopper = new PtxDevice(CudaArchitecture.SM_90, ptx => Target().Replace(ptx, ".target sm_90a"));
        int[] values = Run(hopper, Length);
        Assert.AreSequenceEqual(Enumerable.Range(0, Length).Reverse(), values);
        Assert.Contains("out of bounds: 4 bytes", Assert.ThrowsExactly<PtxFaultException>(() => Run(hopper, Length - 1)).Message);
        Assert.Contains("takes 65536 bytes of shared memory, and a group has at most 49152", Assert.ThrowsExactly<PtxFaultException>(() => Run(PtxDevice.Ampere, Length)).Message);
    }

    [TestMethod]
    public void Hopper_alone_has_warp_groups()
    {
        Assert.IsTrue(new PtxDevice(CudaArchitecture.SM_90).HasWarpGroups);
        foreach (var other in (IlgpuDevice[])[PtxDevice.Ampere, PtxDevice.Turing, new PtxDevice(CudaArchitecture.SM_89), IlgpuDevice.Simulator]) Assert.IsFalse(other.HasWarpGroups, other.Name);
    }

    /// <summary>ILGPU names an older target for a GPU that is newer than itself.</summary>
    [GeneratedRegex(@"\.target sm_\d+")]
    private static partial Regex Target();

    internal static void Reverse(ArrayView<int> values)
    {
        var shared = SharedMemory.GetDynamic<int>();
        for (int i = Group.IdxX; i < Length; i += Threads) shared[i] = i;
        Group.Barrier();
        for (int i = Group.IdxX; i < Length; i += Threads) values[i] = shared[Length - 1 - i];
    }

    private static int[] Run(PtxDevice device, int length)
    {
        using var values = device.Accelerator.Allocate1D<int>(Length);
        device.Load<ArrayView<int>>(Reverse, Threads, KernelSpecialization.Empty, 0)(device.Accelerator.DefaultStream, new KernelConfig(1, Threads, SharedMemoryConfig.RequestDynamic<int>(length)), values.View);
        return values.GetAsArray1D();
    }
}
