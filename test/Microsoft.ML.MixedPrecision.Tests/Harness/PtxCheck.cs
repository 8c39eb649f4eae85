using System.Collections.Concurrent;
using System.Diagnostics;
using System.Reflection;
using System.Text.RegularExpressions;
using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// Compiles kernels to PTX without a GPU, and looks for what ILGPU must not have made of them. A kernel that was bound on the
/// simulator is compiled as CUDA would have it: with the device's own half conversions.
/// </summary>
internal static partial class PtxCheck
{
    private static readonly Context Context = Context.Create(builder => IlgpuDevice.Configure(builder).Cuda(_ => false));
    private static readonly Lock Gate = new();
    private static readonly ConcurrentDictionary<(BoundKernel, CudaArchitecture), string> Compiled = new();
    private static readonly ConcurrentDictionary<string, string> Listings = new();

    /// <summary>NVIDIA's assembler, where the PATH has it: kernels are then also assembled, and must keep to registers.</summary>
    private static readonly string? Assembler = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Select(folder => Path.Combine(folder, OperatingSystem.IsWindows() ? "ptxas.exe" : "ptxas")).FirstOrDefault(File.Exists);

    [GeneratedRegex(@"@!?%p\d+\s+bra\.uni")]
    private static partial Regex UniformCondition();

    [GeneratedRegex(@"\b(atom|red)\.[a-z0-9.]*f(16|32|64)")]
    private static partial Regex FloatAtomic();

    /// <summary>Compiles every kernel that a backend has bound, and fails where one would be wrong or slow on a GPU.</summary>
    public static void Verify(IlgpuBackend backend)
    {
        foreach (var kernel in backend.Kernels) Verify(kernel);
    }

    public static void Verify(BoundKernel kernel) => Verify(kernel, Compile(kernel));

    /// <param name="ptx">The kernel's PTX as a GPU gets it.</param>
    public static void Verify(BoundKernel kernel, string ptx)
    {
        string name = $"{kernel.Method.DeclaringType?.Name}.{kernel.Method.Name}";
        Assert.Contains(".entry", ptx, name);
        // Local memory is a stack: an array, or a structure that ILGPU could not keep in registers.
        Assert.DoesNotContain(".local", ptx, $"{name} uses local memory");
        // Doubles run at 1/64 of the speed; they come from a double literal or from (float)uint.
        Assert.DoesNotContain(".f64", ptx, $"{name} computes in double");
        // A condition that promises to be the same for a whole warp: O2 says so of conditions that are not.
        Assert.DoesNotMatchRegex(UniformCondition(), ptx, $"{name} branches uniformly on a condition");
        // Their order is another at each run.
        Assert.DoesNotMatchRegex(FloatAtomic(), ptx, $"{name} adds floats atomically");
        if (Assembler is null) return;
        string listing = Listings.GetOrAdd(ptx, Assemble);
        Assert.Contains("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", listing, $"{name} spills registers");
        // Its warnings C7510 to C7519: multiplications of warp groups that wait for each other.
        Assert.DoesNotContain("(C75", listing, $"{name}: {listing}");
    }

    /// <summary>The PTX of a kernel for sm_80.</summary>
    public static string Compile(BoundKernel kernel) => Compile(kernel, CudaArchitecture.SM_80);

    /// <summary>The PTX of a kernel for a GPU.</summary>
    public static string Compile(BoundKernel kernel, CudaArchitecture architecture)
    {
        var native = kernel with { Method = (MethodInfo)Native(kernel.Method) };
        return Compiled.GetOrAdd((native, architecture), static key =>
        {
            var (k, target) = key;
            lock (Gate)
            {
                using var backend = new PTXBackend(Context, new CudaCapabilityContext(target), target, CudaInstructionSet.ISA_80, null);
                var entry = k.Grouped ? EntryPointDescription.FromExplicitlyGroupedKernel(k.Method) : EntryPointDescription.FromImplicitlyGroupedKernel(k.Method);
                return WarpGroupPtx.Edit(((PTXCompiledKernel)backend.Compile(entry, IlgpuDevice.LimitsFor(target, k.Limits))).PTXAssembly);
            }
        });
    }

    /// <summary>What ptxas says of a kernel for sm_90, or for sm_90a where it is for that alone.</summary>
    private static string Assemble(string ptx)
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, ptx);
            using var ptxas = Process.Start(new ProcessStartInfo(Assembler!, ["-v", ptx.Contains(".target sm_90a", StringComparison.Ordinal) ? "-arch=sm_90a" : "-arch=sm_90", "-o", Path.DirectorySeparatorChar == '/' ? "/dev/null" : "NUL", file]) { RedirectStandardError = true })!;
            string listing = ptxas.StandardError.ReadToEnd();
            ptxas.WaitForExit();
            Assert.AreEqual(0, ptxas.ExitCode, listing);
            return listing;
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>The same member with the simulator's half storage exchanged for the device's.</summary>
    private static MemberInfo Native(MemberInfo member) => member switch
    {
        Type { IsGenericType: true } type => type.GetGenericTypeDefinition().MakeGenericType([.. type.GetGenericArguments().Select(a => (Type)Native(a))]),
        Type type => type == typeof(SimulatedHalfStorage) ? typeof(CudaHalfStorage) : type,
        MethodInfo method => InNativeType(method),
        _ => member,
    };

    private static MethodInfo InNativeType(MethodInfo method)
    {
        const BindingFlags Any = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        var found = ((Type)Native(method.DeclaringType!)).GetMethods(Any).Single(m => m.MetadataToken == method.MetadataToken);
        return method.IsGenericMethod ? found.MakeGenericMethod([.. method.GetGenericArguments().Select(a => (Type)Native(a))]) : found;
    }
}
