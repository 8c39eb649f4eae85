using System.Reflection;
using System.Text.RegularExpressions;
using ILGPU;
using ILGPU.Backends.PTX;
using ILGPU.IR;
using ILGPU.IR.Intrinsics;
using ILGPU.IR.Values;
using CompoundRegister = ILGPU.Backends.RegisterAllocator<ILGPU.Backends.PTX.PTXRegisterKind>.CompoundRegister;
using HardwareRegister = ILGPU.Backends.RegisterAllocator<ILGPU.Backends.PTX.PTXRegisterKind>.HardwareRegister;

namespace Microsoft.ML.MixedPrecision;

/// <summary>What the calls of <see cref="WarpGroup"/> are in PTX, and what ILGPU's PTX lacks for them.</summary>
internal static partial class WarpGroupPtx
{
    /// <summary>The mode of a descriptor: lines of 128 bytes, chunks exchanged.</summary>
    private const long Swizzle128 = 1L << 62;

    /// <summary>Bytes of a tile's 8 lines, and of 64 lines: a panel.</summary>
    private const long EightLines = 1024, Panel = 64 * 128;

    /// <summary>Makes a context know the instructions.</summary>
    public static void Register(Context.Builder builder)
    {
        foreach (var method in typeof(WarpGroup).GetMethods(BindingFlags.Public | BindingFlags.Static).Where(method => method.IsDefined(typeof(IntrinsicImplementationAttribute), false)))
            builder.GetIntrinsicManager().RegisterMethod(method, new PTXIntrinsic(typeof(WarpGroupPtx), method.Name, IntrinsicImplementationMode.GenerateCode));
    }

    /// <summary>
    /// ILGPU 1.5.3 names sm_80 as the target of all newer GPUs; aligns dynamic shared memory as its elements, where tiles begin at multiples of 1,024 bytes; and at the end of
    /// a loop moves registers to themselves, which is a use of sums that are under way. Other kernels stay as they are.
    /// </summary>
    public static string Edit(string ptx) => ptx.Contains("wgmma.", StringComparison.Ordinal)
        ? MoveToItself().Replace(SharedAlignment().Replace(Target().Replace(ptx, ".target sm_90a"), ".extern .shared .align 1024"), "")
        : ptx;

    [GeneratedRegex(@"\.target sm_\d+a?")]
    private static partial Regex Target();

    [GeneratedRegex(@"\.extern \.shared \.align \d+")]
    private static partial Regex SharedAlignment();

    [GeneratedRegex(@"^\s*mov\.f32\s+(%f\d+), \1;\r?\n", RegexOptions.Multiline)]
    private static partial Regex MoveToItself();

    public static void Publish(PTXBackend _, PTXCodeGenerator ptx, Value call) => ptx.Command("fence.proxy.async.shared::cta");

    public static void Uniform(PTXBackend _, PTXCodeGenerator ptx, Value call)
    {
        string value = TensorCorePtx.Name(ptx.LoadHardware(call[0])), result = TensorCorePtx.Name(ptx.AllocateHardware(call));
        ptx.Builder.AppendLine($"\tshfl.sync.idx.b32 {result}, {value}, 0, 31, 0xffffffff;");
    }

    public static void Begin(PTXBackend _, PTXCodeGenerator ptx, Value call) => ptx.Command("wgmma.fence.sync.aligned");

    public static void MultiplyAdd64(PTXBackend _, PTXCodeGenerator ptx, Value call) => MultiplyAdd(ptx, call, "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16");

    public static void MultiplyAdd128(PTXBackend _, PTXCodeGenerator ptx, Value call) => MultiplyAdd(ptx, call, "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16");

    public static void Commit(PTXBackend _, PTXCodeGenerator ptx, Value call) => ptx.Command("wgmma.commit_group.sync.aligned");

    public static void Wait(PTXBackend _, PTXCodeGenerator ptx, Value call) => ptx.Command($"wgmma.wait_group.sync.aligned {TensorCorePtx.Constant(call[0])}");

    private static void MultiplyAdd(PTXCodeGenerator ptx, Value call, string instruction)
    {
        int block = TensorCorePtx.Constant(call[2]), step = TensorCorePtx.Constant(call[4]), depthA = TensorCorePtx.Constant(call[5]), depthB = TensorCorePtx.Constant(call[6]);
        // Sums that moved to other registers between two multiplications would make the assembler wait for the first (its warning C7515):
        // the result is bound to the registers of the argument.
        var argument = ptx.Load(call[0]);
        var sums = TensorCorePtx.Flatten(ptx, argument);
        bool inPlace = ((CompoundRegister)argument).Children.ToArray().All(child => child is HardwareRegister);
        if (inPlace)
        {
            ptx.Bind(call, argument);
        }
        else
        {
            var (start, result) = (sums, TensorCorePtx.Result(ptx, call));
            for (int i = 0; i < start.Length; i++) ptx.Move((HardwareRegister)start[i], (HardwareRegister)result[i]);
            sums = result;
        }
        string a = Descriptor(ptx, "a", call[1], block * Panel + Offset(step, depthA)), b = Descriptor(ptx, "b", call[3], Offset(step, depthB));
        // Both descriptors; then: add to the sums, a and b as they are, whether a and b are transposed.
        ptx.Builder.AppendLine($"\t{{ {a}{b}{instruction} {{{TensorCorePtx.Names(sums)}}}, a, b, 1, 1, 1, {1 - depthA}, {1 - depthB}; }}");
    }

    /// <summary>Bytes to the 16 values of k: lines along k have 32 of each; where lines run along the other direction there is one for each k.</summary>
    private static long Offset(int step, int alongDepth) => step * (alongDepth != 0 ? 32 : 2 * EightLines);

    /// <summary>
    /// Statements that make a descriptor, where a tile is and how it lies: bits 0-13 the address, 16-29 the distance of panels, 32-45 that of eight lines, in chunks of 16 bytes.
    /// All that varies is in the lower half: arithmetic of 64 bits would take twice the instructions.
    /// </summary>
    private static string Descriptor(PTXCodeGenerator ptx, string name, Value reference, long offset)
    {
        string address = TensorCorePtx.Name(TensorCorePtx.AddressOf(ptx, reference, MemoryAddressSpace.Shared));
        return $".reg .b64 {name}; .reg .b32 {name}l, {name}h; cvt.u32.u64 {name}l, {address}; shr.u32 {name}l, {name}l, 4; add.u32 {name}l, {name}l, {Panel >> 4 << 16 | offset >> 4}; " +
            $"mov.b32 {name}h, {Swizzle128 >> 32 | EightLines >> 4}; mov.b64 {name}, {{{name}l, {name}h}}; ";
    }
}
