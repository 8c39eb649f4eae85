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

    public static void Begin(PTXBackend _, PTXCodeGenerator ptx, Value call) => ptx.Command("wgmma.fence.sync.aligned");

    public static void MultiplyAdd64(PTXBackend _, PTXCodeGenerator ptx, Value call) => MultiplyAdd(ptx, call, "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16");

    public static void MultiplyAdd128(PTXBackend _, PTXCodeGenerator ptx, Value call) => MultiplyAdd(ptx, call, "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16");

    public static void Commit(PTXBackend _, PTXCodeGenerator ptx, Value call) => ptx.Command("wgmma.commit_group.sync.aligned");

    public static void Wait(PTXBackend _, PTXCodeGenerator ptx, Value call) => ptx.Command($"wgmma.wait_group.sync.aligned {TensorCorePtx.Constant(call[0])}");

    private static void MultiplyAdd(PTXCodeGenerator ptx, Value call, string instruction)
    {
        int step = TensorCorePtx.Constant(call[3]), depthA = TensorCorePtx.Constant(call[4]), depthB = TensorCorePtx.Constant(call[5]);
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
        var (a, b) = (Descriptor(ptx, call[1], step, depthA), Descriptor(ptx, call[2], step, depthB));
        using var command = ptx.BeginCommand(instruction);
        command.AppendVectorArgument(sums);
        command.AppendArgument(a);
        command.AppendArgument(b);
        command.AppendConstant(1); // add to the sums
        command.AppendConstant(1); // a as it is
        command.AppendConstant(1); // b as it is
        command.AppendConstant(1 - depthA); // whether a is transposed
        command.AppendConstant(1 - depthB);
    }

    /// <summary>
    /// Where a tile is and how it lies: bits 0-13 the address, 16-29 the distance of panels, 32-45 that of eight lines, in chunks of 16 bytes.
    /// Lines along k: 16 values are 32 bytes of each. Lines along the other direction: one for each k, 16 values are 2,048 bytes.
    /// </summary>
    private static HardwareRegister Descriptor(PTXCodeGenerator ptx, Value reference, int step, int alongDepth)
    {
        var address = TensorCorePtx.AddressOf(ptx, reference, MemoryAddressSpace.Shared);
        long offset = step * (alongDepth != 0 ? 32L : 2 * EightLines);
        var result = ptx.AllocatePlatformRegister(out _);
        using (var shift = ptx.BeginCommand("shr.u64"))
        {
            shift.AppendArgument(result);
            shift.AppendArgument(address);
            shift.AppendConstant(4);
        }
        using var add = ptx.BeginCommand("add.u64");
        add.AppendArgument(result);
        add.AppendArgument(result);
        add.AppendConstant(Swizzle128 | EightLines >> 4 << 32 | Panel >> 4 << 16 | offset >> 4);
        return result;
    }
}
