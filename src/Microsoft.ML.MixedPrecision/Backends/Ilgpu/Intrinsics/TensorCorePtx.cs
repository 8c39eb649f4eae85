using System.Reflection;
using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Backends.PTX;
using ILGPU.IR;
using ILGPU.IR.Intrinsics;
using ILGPU.IR.Types;
using ILGPU.IR.Values;
using ILGPU.Runtime.Cuda;
using CompoundRegister = ILGPU.Backends.RegisterAllocator<ILGPU.Backends.PTX.PTXRegisterKind>.CompoundRegister;
using HardwareRegister = ILGPU.Backends.RegisterAllocator<ILGPU.Backends.PTX.PTXRegisterKind>.HardwareRegister;
using PrimitiveRegister = ILGPU.Backends.RegisterAllocator<ILGPU.Backends.PTX.PTXRegisterKind>.PrimitiveRegister;
using Register = ILGPU.Backends.RegisterAllocator<ILGPU.Backends.PTX.PTXRegisterKind>.Register;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// What the calls of <see cref="TensorCore"/> are in PTX. Each method has the name of the one it stands for; ILGPU calls it once for each call
/// in a kernel.
/// </summary>
internal static class TensorCorePtx
{
    /// <summary>Makes a context know the instructions.</summary>
    public static void Register(Context.Builder builder)
    {
        foreach (var method in typeof(TensorCore).GetMethods(BindingFlags.Public | BindingFlags.Static))
        {
            if (method.IsDefined(typeof(IntrinsicImplementationAttribute), false))
                builder.GetIntrinsicManager().RegisterMethod(method, new PTXIntrinsic(typeof(TensorCorePtx), method.Name, IntrinsicImplementationMode.GenerateCode));
        }
    }

    public static void LoadLeft(PTXBackend _, PTXCodeGenerator ptx, Value call) => LoadMatrices(ptx, call, "ldmatrix.sync.aligned.m8n8.x4.shared.b16");

    public static void LoadLeftTransposed(PTXBackend _, PTXCodeGenerator ptx, Value call) => LoadMatrices(ptx, call, "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16");

    public static void LoadRight(PTXBackend _, PTXCodeGenerator ptx, Value call) => LoadMatrices(ptx, call, "ldmatrix.sync.aligned.m8n8.x4.shared.b16");

    public static void LoadRightTransposed(PTXBackend _, PTXCodeGenerator ptx, Value call) => LoadMatrices(ptx, call, "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16");

    private static void LoadMatrices(PTXCodeGenerator ptx, Value call, string instruction)
    {
        var address = AddressOf(ptx, call[0], MemoryAddressSpace.Shared);
        int offset = Constant(call[1]) * Unsafe.SizeOf<Words4>();
        using var command = ptx.BeginCommand(instruction);
        command.AppendVectorArgument(Result(ptx, call));
        command.AppendArgumentValue(address, offset);
    }

    public static void MultiplyAdd(PTXBackend backend, PTXCodeGenerator ptx, Value call)
    {
        PrimitiveRegister[] sums = Flatten(ptx, ptx.Load(call[0])), left = Flatten(ptx, ptx.Load(call[1])), right = Flatten(ptx, ptx.Load(call[2])), result = Result(ptx, call);
        if (HasAsyncCopies(backend))
        {
            Multiply(ptx, "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", result, left, right, sums);
        }
        else
        {
            Multiply(ptx, "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", result, left[..2], right[..1], sums);
            Multiply(ptx, "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", result, left[2..], right[1..], result);
        }
    }

    private static void Multiply(PTXCodeGenerator ptx, string instruction, PrimitiveRegister[] result, PrimitiveRegister[] left, PrimitiveRegister[] right, PrimitiveRegister[] sums)
    {
        string rightWords = right.Length == 1 ? $"{{{Name(right[0])}}}" : $"{{{Name(right[0])}, {Name(right[1])}}}";
        ptx.Builder.AppendLine($"\t{instruction}\t{{{Names(result)}}}, {{{Names(left)}}}, {rightWords}, {{{Names(sums)}}};");
    }

    public static void CopyAsync(PTXBackend backend, PTXCodeGenerator ptx, Value call)
    {
        string target = $"{Name(AddressOf(ptx, call[0], MemoryAddressSpace.Shared))}+{Constant(call[1]) * Unsafe.SizeOf<Words4>()}", source = Name(AddressOf(ptx, call[2], MemoryAddressSpace.Global));
        // Of a mad.wide the assembler makes two shifting additions, of a product and a sum one multiplication: an instruction less and, for sm_80, a spill less. But an H100
        // took 0.274 ms for 4,096 cubed with the sum and 0.225 with the mad.wide, on two days (ADR 11).
        string place = Name(ptx.LoadHardware(call[3])), copies = Name(ptx.LoadHardware(call[4]));
        string address = backend.Architecture >= CudaArchitecture.SM_90
            ? $".reg .b64 address; mad.wide.s32 address, {place}, {sizeof(ushort)}, {source};"
            : $".reg .b64 address; mul.wide.s32 address, {place}, {sizeof(ushort)}; add.s64 address, address, {source};";
        string hint = backend.InstructionSet >= CudaInstructionSet.ISA_74 ? ".L2::128B" : ""; // to fetch whole lines
        // Braces open a scope, so that the names do not clash.
        ptx.Builder.AppendLine(HasAsyncCopies(backend)
            ? $"\t{{ {address} .reg .b32 size, all; mov.b32 all, 16; selp.b32 size, all, 0, {copies}; cp.async.cg.shared.global{hint} [{target}], [address], 16, size; }}"
            : $"\t{{ {address} .reg .b32 w0, w1, w2, w3; mov.b32 w0, 0; mov.b32 w1, 0; mov.b32 w2, 0; mov.b32 w3, 0; " +
              $"@{copies} ld.global.v4.b32 {{w0, w1, w2, w3}}, [address]; st.shared.v4.b32 [{target}], {{w0, w1, w2, w3}}; }}");
    }

    public static void CommitCopies(PTXBackend backend, PTXCodeGenerator ptx, Value call)
    {
        if (HasAsyncCopies(backend)) ptx.Command("cp.async.commit_group");
    }

    public static void WaitForCopies(PTXBackend backend, PTXCodeGenerator ptx, Value call)
    {
        if (HasAsyncCopies(backend)) ptx.Command($"cp.async.wait_group {Constant(call[0])}");
    }

    public static void PackHalves(PTXBackend backend, PTXCodeGenerator ptx, Value call)
    {
        var (low, high) = (ptx.LoadPrimitive(call[0]), ptx.LoadPrimitive(call[1]));
        if (!HasAsyncCopies(backend))
        {
            string first = Name(ptx.EnsureHardwareRegister(low)), second = Name(ptx.EnsureHardwareRegister(high)), result = Name(ptx.AllocateHardware(call));
            ptx.Builder.AppendLine($"\t{{ .reg .b16 low, high; cvt.rn.f16.f32 low, {first}; cvt.rn.f16.f32 high, {second}; mov.b32 {result}, {{low, high}}; }}");
            return;
        }
        using var command = ptx.BeginCommand("cvt.rn.f16x2.f32");
        command.AppendArgument(ptx.AllocateHardware(call));
        command.AppendArgument(high);
        command.AppendArgument(low);
    }

    /// <summary>From Ampere on: copies past the registers, products of 16 values of k, and two halves converted at once.</summary>
    private static bool HasAsyncCopies(PTXBackend backend) => backend.Architecture >= CudaArchitecture.SM_80;

    public static int Constant(Value value) => value.Resolve() is PrimitiveValue constant
        ? constant.Int32Value
        : throw new NotSupportedException("Expected a constant for an argument that becomes part of an instruction, got a variable.");

    public static string Names(PrimitiveRegister[] registers) => string.Join(", ", registers.Select(Name));

    public static string Name(PrimitiveRegister register) => "%" + PTXCodeGenerator.GetStringRepresentation((HardwareRegister)register);

    /// <summary>Fresh registers for the structure that a call returns.</summary>
    public static PrimitiveRegister[] Result(PTXCodeGenerator ptx, Value call) => Flatten(ptx, ptx.Allocate(call));

    // Instructions take no constants in vectors: these need a register.
    public static PrimitiveRegister[] Flatten(PTXCodeGenerator ptx, Register register) =>
        [.. ((CompoundRegister)register).Children.ToArray().Select(child => (PrimitiveRegister)ptx.EnsureHardwareRegister((PrimitiveRegister)child))];

    /// <summary>The address in a state space. ILGPU passes one of that space, or a generic one.</summary>
    public static HardwareRegister AddressOf(PTXCodeGenerator ptx, Value reference, MemoryAddressSpace space)
    {
        var register = ptx.LoadHardware(reference);
        var actual = ((AddressSpaceType)reference.Resolve().Type).AddressSpace;
        if (actual == space) return register;
        if (actual != MemoryAddressSpace.Generic) throw new NotSupportedException($"Expected an address in {space} memory, got one in {actual} memory.");
        var converted = ptx.AllocatePlatformRegister(out _);
        using var command = ptx.BeginCommand(space == MemoryAddressSpace.Shared ? "cvta.to.shared.u64" : "cvta.to.global.u64");
        command.AppendArgument(converted);
        command.AppendArgument(register);
        return converted;
    }
}
