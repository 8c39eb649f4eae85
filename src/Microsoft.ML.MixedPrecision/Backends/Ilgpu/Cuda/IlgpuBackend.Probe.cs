using ILGPU;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class IlgpuBackend
{
    /// <summary>Loads a kernel that does next to nothing, to see whether the device's driver loads what ILGPU makes.</summary>
    /// <exception cref="ILGPU.Runtime.AcceleratorException">It does not.</exception>
    public static void LoadProbe(IlgpuDevice device) => device.Load<ArrayView<int>>(Probe);

    private static void Probe(Index1D i, ArrayView<int> to) => to[i] = i;
}
