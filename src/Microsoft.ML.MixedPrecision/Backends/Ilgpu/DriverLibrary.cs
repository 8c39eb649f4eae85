using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The drivers' libraries. ILGPU asks for libcuda.so and libOpenCL.so, names that come with development packages; containers
/// and plain installations have only libcuda.so.1 and libOpenCL.so.1, which are the same libraries, and load here.
/// </summary>
internal static class DriverLibrary
{
    private static readonly Lazy<bool> Resolving = new(() =>
    {
        foreach (var assembly in (Assembly[])[typeof(Accelerator).Assembly, typeof(DriverLibrary).Assembly])
        {
            var load = AssemblyLoadContext.GetLoadContext(assembly) ?? AssemblyLoadContext.Default;
            load.ResolvingUnmanagedDll += (asking, name) =>
                asking == assembly && Installed(name) is { } file && NativeLibrary.TryLoad(file, out nint handle) ? handle : 0;
        }
        return true;
    });

    private static string? Installed(string name) => OperatingSystem.IsWindows() ? (name == "cuda" ? "nvcuda.dll" : null) : Versioned(name);

    /// <summary>Makes ILGPU, and what is called here directly, find the libraries under the names that drivers install. Before the first context.</summary>
    public static void Register() => _ = Resolving.Value;

    /// <summary>Why a machine has no device of a kind, and what to install.</summary>
    public static string WhyNone(AcceleratorType type, IReadOnlyList<Device> refused)
    {
        bool cuda = type == AcceleratorType.Cuda;
        string file = OperatingSystem.IsWindows() ? (cuda ? "nvcuda.dll" : "OpenCL.dll") : Versioned(cuda ? "cuda" : "OpenCL")!;
        if (!NativeLibrary.TryLoad(file, out nint handle))
        {
            return cuda
                ? $"{file} is not on this machine: install the NVIDIA driver (in a container: start it with GPU access)."
                : $"{file} is not on this machine: install the OpenCL loader (Debian, Ubuntu: ocl-icd-libopencl1) and the GPU vendor's OpenCL driver.";
        }
        NativeLibrary.Free(handle);
        if (refused.Count > 0)
        {
            return $"{string.Join(", ", refused.Select(d => d.Name))}: " + (cuda
                ? "newer than ILGPU knows, or older than it supports."
                : "OpenCL 2.0 with the generic address space is needed, and is not there; try a newer driver.");
        }
        return cuda
            ? $"{file} is there, but the driver reports no GPU: check that nvidia-smi lists one, and that CUDA_VISIBLE_DEVICES does not hide it."
            : $"{file} is there, but no driver reports a device: install the GPU vendor's OpenCL driver, and check that clinfo lists it.";
    }

    private static string? Versioned(string name) => name switch
    {
        "cuda" => "libcuda.so.1",
        "OpenCL" => "libOpenCL.so.1",
        _ => null,
    };
}
