using System.Reflection;
using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Loads kernels that group themselves, with what ILGPU 1.5.3 leaves out of them: the target of Hopper's own instructions, and more shared memory than 48 KB.</summary>
internal static class CudaKernels
{
    public static Action<AcceleratorStream, KernelConfig, TArguments> Load<TArguments>(CudaAccelerator accelerator, MethodInfo method, KernelSpecialization limits, int sharedBytes) where TArguments : struct
    {
        var compiled = (PTXCompiledKernel)accelerator.Backend.Compile(EntryPointDescription.FromExplicitlyGroupedKernel(method), limits);
        Text(compiled) = WarpGroupPtx.Edit(compiled.PTXAssembly);
        var kernel = (CudaKernel)accelerator.LoadKernel(compiled);
        if (sharedBytes > 0)
        {
            accelerator.Bind();
            CudaException.ThrowIfFailed(CudaDriver.SetAttribute(kernel.FunctionPtr, CudaDriver.MostDynamicSharedBytes, sharedBytes));
        }
        return kernel.CreateLauncherDelegate<Action<AcceleratorStream, KernelConfig, TArguments>>();
    }

    // What the driver is given; there is no other way to change it, short of launching kernels ourselves.
    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "<PTXAssembly>k__BackingField")]
    private static extern ref string Text(PTXCompiledKernel kernel);
}
